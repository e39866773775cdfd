"""A server whose prompts and resources are invalid or unusual in ways that no SDK allows. The argument is the mode.

Written on bare JSON lines in the legacy protocol with the standard library only.
"""

import json
import sys
from typing import Any

MODE = sys.argv[1]
EVIL = "\x1b[2J\u202e[red]evil[/red]\nline"
CAPABILITIES: dict[str, Any] = {} if MODE == "bare" else {"prompts": {}, "resources": {}}
HI = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]}


def page(key: str, item: str, cursor: str | None) -> dict[str, Any]:
    """Return one page of a list. In the mode `pages`, there are three pages of two items."""
    number = int(cursor or 0)
    names = [f"{item}:{number}{letter}" for letter in ("b", "a")]
    if MODE == "evil":
        names = [EVIL, *(f"x:{'y' * 5000}{number}" for number in range(30))]
    identity = {"prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}[key]
    text = {"name": "n", "description": EVIL if MODE == "evil" else "d"}
    more = {"nextCursor": str(number + 1)} if (MODE == "pages" and number < 2) or MODE == "endless" else {}
    return {key: [{**text, identity: name} for name in names], **more}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the `result` or `error` of a request, or None to send no response."""
    result: dict[str, Any] | None = None
    match method:
        case "initialize":
            info = {"name": "odd", "version": "0"}
            result = {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES, "serverInfo": info}
        case "prompts/list":
            result = page("prompts", "prompt", params.get("cursor"))
        case "resources/list":
            result = page("resources", "thing", params.get("cursor"))
        case "resources/templates/list" if MODE != "no-templates":
            result = page("resourceTemplates", "many", params.get("cursor"))
        case "prompts/get" | "resources/read" if MODE == "hangs":
            return None
        case "prompts/get" | "resources/read" if MODE == "refuses":
            return {"error": {"code": -32603, "message": EVIL}}
        case "prompts/get" if MODE == "invalid":
            result = {"messages": [{"role": "chorus", "content": {"type": "text", "text": "hi"}}]}
        case "prompts/get":
            result = HI
        case "resources/read":
            result = {"contents": []}
    return {"result": result} if result is not None else {"error": {"code": -32601, "message": "no such method"}}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and (response := answer(message["method"], message.get("params") or {})):
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **response}), flush=True)
