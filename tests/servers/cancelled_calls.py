"""A stdio server of 2025-06-18 whose calls can be cancelled, and whose requests cannot be attributed to a call.

`hang` never responds, `late` responds when it is cancelled, and `zombie` sends a request when it is cancelled. So do the
resource and the prompt with these names. `ask` elicits from the user and `ponder` samples from the model, and both return
the answer. Standard library only.
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
UNANSWERED: dict[Any, str] = {}
"""The names of tools, resources or prompts of unanswered requests, by request id."""


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
    message = json.loads(line)
    number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
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
                UNANSWERED[number] = name
            if name in ("ask", "ponder"):
                ask(number, name)
        case "notifications/cancelled":
            if (held := UNANSWERED[params["requestId"]]) == "zombie":
                ask(params["requestId"], held)
            elif held == "late":
                answer(params["requestId"], "too late")
        case None:  # a response to a request of this server
            of = int(number.removeprefix("of "))
            result = message.get("result") or {}
            found = (
                result.get("action") or result.get("content", {}).get("text") or message.get("error", {}).get("message")
            )
            if UNANSWERED.pop(of) != "zombie":
                answer(of, " ".join([found, *result.get("content", {}).values()]) if "action" in result else found)
        case _ if number is not None:
            send({"id": number, "error": {"code": -32601, "message": "Method not found"}})
