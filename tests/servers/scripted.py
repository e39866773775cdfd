"""A server that is defined by a file: `python scripted.py FILE.json`. Standard library only, legacy protocol.

The file contains `tools` (as in `tools/list`), `results` (a `CallToolResult` by tool) and `asks` (by tool, the params of
`elicitation/create`; the call returns the answer as text).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DEFINITION: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())
WAITING: dict[str, Any] = {}
"""Ids of waiting calls, by the id of their elicitation request."""


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def handle_call(number: Any, tool: str) -> None:
    if tool in DEFINITION.get("asks", {}):
        WAITING[f"ask-{number}"] = number
        send({"id": f"ask-{number}", "method": "elicitation/create", "params": DEFINITION["asks"][tool]})
    else:
        default_result = {"content": [{"type": "text", "text": "nothing"}]}
        send({"id": number, "result": DEFINITION.get("results", {}).get(tool, default_result)})


for line in sys.stdin:
    message = json.loads(line)
    number, params = message.get("id"), message.get("params", {})
    match message.get("method"):
        case "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
            send({"id": number, "result": result | {"serverInfo": {"name": "scripted", "version": "1"}}})
        case "tools/list":
            send({"id": number, "result": {"tools": DEFINITION["tools"]}})
        case "tools/call":
            handle_call(number, params["name"])
        case None if number in WAITING:
            answer = json.dumps(message.get("result") or message.get("error"))
            send({"id": WAITING.pop(number), "result": {"content": [{"type": "text", "text": answer}]}})
        case str() if number is not None:
            send({"id": number, "error": {"code": -32601, "message": "Method not found"}})
