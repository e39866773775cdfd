"""A server that offers what a file says: `python scripted.py FILE.json`. Standard library only, legacy protocol.

The file holds `tools` (objects of `tools/list`), `results` (a `CallToolResult` for each tool that has one) and `asks`
(the params of `elicitation/create` for each tool that asks first; its result is the answer, as text).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OFFER: dict[str, Any] = json.loads(Path(sys.argv[1]).read_bytes())
ASKED: dict[str, Any] = {}
"""The id of the call that waits for an answer, by the id of the request that was made for it."""


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def called(number: Any, tool: str) -> None:
    if tool in OFFER.get("asks", {}):
        ASKED[f"ask-{number}"] = number
        send({"id": f"ask-{number}", "method": "elicitation/create", "params": OFFER["asks"][tool]})
    else:
        nothing = {"content": [{"type": "text", "text": "nothing"}]}
        send({"id": number, "result": OFFER.get("results", {}).get(tool, nothing)})


for line in sys.stdin:
    message = json.loads(line)
    number, params = message.get("id"), message.get("params", {})
    match message.get("method"):
        case "initialize":
            offered = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}}
            send({"id": number, "result": offered | {"serverInfo": {"name": "scripted", "version": "1"}}})
        case "tools/list":
            send({"id": number, "result": {"tools": OFFER["tools"]}})
        case "tools/call":
            called(number, params["name"])
        case None if number in ASKED:
            answer = json.dumps(message.get("result") or message.get("error"))
            send({"id": ASKED.pop(number), "result": {"content": [{"type": "text", "text": answer}]}})
        case str() if number is not None:
            send({"id": number, "error": {"code": -32601, "message": "Method not found"}})
