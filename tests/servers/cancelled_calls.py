"""A server of 2025-06-18 that asks by requests which name no call, and that calls can be given up at. Over stdio.

`hang` never answers, `late` answers when it is cancelled, `zombie` asks when it is cancelled; so do a resource and a
prompt of these names. `ask` asks the user and `ponder` the model, and they answer with what they get. Standard library
only.
"""

from __future__ import annotations

import json
import sys
from typing import Any

OBJECT = {"type": "object"}
ASK = {"message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
PONDER = {"messages": [{"role": "user", "content": {"type": "text", "text": "Why?"}}], "maxTokens": 9}
REQUESTS: dict[str, tuple[str, Any]] = {
    "ask": ("elicitation/create", ASK),
    "ponder": ("sampling/createMessage", PONDER),
    "zombie": ("elicitation/create", ASK),
}
HELD: dict[Any, str] = {}
"""The tool, resource or prompt of each request that has no answer yet, by its id."""


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def answer(number: Any, text: str) -> None:
    content = {"type": "text", "text": text}
    contents, messages = [{"uri": "a:b", "text": text}], [{"role": "user", "content": content}]
    send({"id": number, "result": {"content": [content], "contents": contents, "messages": messages}})


def ask(number: Any, what: str) -> None:
    method, params = REQUESTS[what]
    send({"id": f"of {number}", "method": method, "params": params})


for line in sys.stdin:
    got = json.loads(line)
    number, method, params = got.get("id"), got.get("method"), got.get("params") or {}
    match method:
        case "initialize":
            info, version = {"name": "given up", "version": "1"}, "2025-06-18"
            capabilities: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
            send(
                {"id": number, "result": {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}}
            )
        case "tools/list":
            names = ("hang", "late", "zombie", "ask", "ponder", "ok")
            send({"id": number, "result": {"tools": [{"name": name, "inputSchema": OBJECT} for name in names]}})
        case "tools/call" | "resources/read" | "prompts/get":
            name = params.get("name") or params["uri"].removeprefix("x:")
            if name == "ok":
                answer(number, "ok")
            else:
                HELD[number] = name
            if name in ("ask", "ponder"):
                ask(number, name)
        case "notifications/cancelled":
            if (held := HELD[params["requestId"]]) == "zombie":
                ask(params["requestId"], held)
            elif held == "late":
                answer(params["requestId"], "too late")
        case None:  # an answer to a request of ours
            of = int(number.removeprefix("of "))
            result = got.get("result") or {}
            found = result.get("action") or result.get("content", {}).get("text") or got.get("error", {}).get("message")
            if HELD.pop(of) != "zombie":
                answer(of, " ".join([found, *result.get("content", {}).values()]) if "action" in result else found)
        case _ if number is not None:
            send({"id": number, "error": {"code": -32601, "message": "Method not found"}})
