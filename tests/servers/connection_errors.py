"""A running server that sends the errors that the SDK itself raises when a connection is lost.

`connection_errors.py ERA [METHOD]`: ERA is `legacy` or `modern`. Each error is the name of a tool, a prompt and a resource.
`exits` sends an error, then the server exits. METHOD is always answered with the error `closed`. Standard library only.
"""

import json
import os
import sys
from typing import Any

ERA, FLAWED = sys.argv[1], sys.argv[2:3]
ERRORS = {
    "closed": (-32000, "Connection closed"),
    "broken": (-32603, "Server returned an error response"),
    "ended": (-32600, "Session terminated"),
    "exits": (-32000, "out of memory"),
}
CAPABILITIES: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
INFO = {"name": "last words", "version": "1"}
CACHED = {"ttlMs": 0, "cacheScope": "private"}


def answer(method: str, name: str) -> dict[str, Any]:
    """Return the `result` or `error` of a response."""
    match method:
        case _ if method in FLAWED:
            code, message = ERRORS["closed"]
        case "initialize" if ERA == "legacy":
            return {"result": {"protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": INFO}}
        case "server/discover" if ERA == "modern":
            found = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "serverInfo": INFO}
            return {"result": {"resultType": "complete", **found, **CACHED}}
        case "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in (*ERRORS, "ok")]
            return {"result": {"resultType": "complete", "tools": tools, **CACHED}}
        case "tools/call" if name == "ok":
            return {"result": {"resultType": "complete", "content": [{"type": "text", "text": "fine"}]}}
        case _:
            code, message = ERRORS.get(name, (-32601, f"Method not found: {method}"))
    return {"error": {"code": code, "message": message}}


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        params = request.get("params") or {}
        name = params.get("name") or params.get("uri", "").rsplit("/", 1)[-1]
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer(request["method"], name)}), flush=True)
        if name == "exits":
            os._exit(0)
