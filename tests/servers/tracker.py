"""A tracker of issues with state. Its arguments:

- `lazy`: closing an issue answers "ok" and stores nothing.
- `from=N`: ids count up from N. Without it, an id depends only on the title.
- `log=FILE`: a line for each change is appended to FILE.
- `die`: getting an issue ends the server.
"""

import sys
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.servers.stdlib_server import StdlibServer, ToolError

options = dict(one.partition("=")[::2] for one in sys.argv[1:])
server = StdlibServer("tracker")
issues: dict[int, dict[str, Any]] = {}


def note(text: str) -> None:
    if "log" in options:
        with Path(options["log"]).open("a") as file:
            file.write(f"{text}\n")


def found(id: int) -> dict[str, Any]:
    if id not in issues:
        raise ToolError(f"there is no issue {id!r}")
    return issues[id]


@server.tool()
def create_issue(title: str) -> dict[str, Any]:
    """Create an issue."""
    if not title:
        raise ToolError("an issue needs a title")
    number = int(options["from"]) + len(issues) if "from" in options else zlib.crc32(title.encode())
    issues[number] = {"id": number, "title": title, "status": "open"}
    note(f"create {title}")
    return issues[number]


@server.tool()
def close_issue(id: int) -> str:
    """Close an issue."""
    found(id)
    if "lazy" not in options:
        issues[id]["status"] = "closed"
    note(f"close {issues[id]['title']}")
    return "ok"


def get_issue(id: int) -> dict[str, Any]:
    """Return an issue."""
    if "die" in options:
        sys.exit(3)
    return found(id)


server.add_tool(get_issue, annotations={"readOnlyHint": True})


@server.tool()
def delete_issue(id: int) -> str:
    """Delete an issue."""
    note(f"delete {found(id)['title']}")
    del issues[id]
    return "deleted"


@server.tool()
def wait() -> Generator[None, None, str]:
    """Never answer."""
    note("wait")
    while True:
        yield None


@server.resource("issue://log", "text/plain")
def log() -> str:
    """Return a line for each issue."""
    return "\n".join(f"{number} {issue['status']}" for number, issue in issues.items())


if __name__ == "__main__":
    server.run()
