"""A low-cost MCP server: one tool, `add`, on bare JSON lines. Standard library only.

Like servers of the SDKs, the tool has an output schema and repeats its result as text. The first argument is the
seconds that each call computes, the second the seconds that the server takes to start.
"""

import json
import sys
import time
from typing import Any

NUMBER = {"type": "number"}
TOOLS = [
    {
        "name": "add",
        "description": "Add two numbers.",
        "inputSchema": {"type": "object", "properties": {"a": NUMBER, "b": NUMBER}, "required": ["a", "b"]},
        "outputSchema": {"type": "object", "properties": {"result": NUMBER}, "required": ["result"]},
    }
]


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request; None for an unknown method."""
    match method:
        case "initialize":
            about = {"name": "adder", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            numbers = params["arguments"]
            found = numbers["a"] + numbers["b"]
            return {"content": [{"type": "text", "text": str(found)}], "structuredContent": {"result": found}}
    return None


def main(seconds: float = 0.0, start: float = 0.0) -> None:
    """Answer requests until stdin ends."""
    time.sleep(start)
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message:
            continue
        result = result_of(message["method"], message.get("params") or {})
        if seconds and message["method"] == "tools/call":
            until = time.process_time() + seconds
            while time.process_time() < until:
                pass
        reply = {"result": result} if result else {"error": {"code": -32601, "message": "Method not found"}}
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}) + "\n")
        sys.stdout.flush()


main(*map(float, sys.argv[1:]))
