"""An issue tracker's MCP server. Its issues have the numbers from 1, or from that on its command line."""

import sys
from itertools import count
from typing import Any

from mcp.server import MCPServer

server = MCPServer("tracker", version="1.0.0")
numbers = count(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
issues: dict[int, dict[str, Any]] = {}
log: list[str] = []


@server.tool()
def create_issue(title: str) -> dict[str, Any]:
    """Create an issue."""
    number = next(numbers)
    issues[number] = {"id": number, "title": title, "status": "open"}
    return issues[number]


@server.tool()
def close_issue(number: int) -> str:
    """Close an issue."""
    issues[number]["status"] = "closed"
    log.append(f"{number}: closed")
    return "ok"


@server.tool()
def get_issue(number: int) -> dict[str, Any]:
    """Return an issue."""
    return issues[number]


@server.tool()
def delete_issue(number: int) -> str:
    """Delete an issue."""
    del issues[number]
    return "ok"


@server.resource("issue://log")
def read_log() -> str:
    """Return what was done, one line for each change."""
    return "\n".join(log)


if __name__ == "__main__":
    server.run()
