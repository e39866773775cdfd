"""A server that sends malformed messages, such as unknown ids and errors of every shape, on bare JSON lines.

The argument is `legacy` or `modern` (2026-07-28). The argument `lines` of the tool `raw` is the response to its call: JSON
texts in which `$id` is replaced with the request's id. The environment variable `ANSWERS` has the responses to other
requests: a JSON object that maps methods to such lines. Standard library only.
"""

import json
import os
import sys
from typing import Any

MODERN = "2026-07-28"
ERA = sys.argv[1] if len(sys.argv) > 1 else "legacy"
ANSWERS = json.loads(os.environ.get("ANSWERS", "{}"))
CAPABILITIES: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
CACHE: dict[str, Any] = {"ttlMs": 0, "cacheScope": "private"} if ERA == "modern" else {}
INFO = {"name": "odd", "version": "1"}


def result(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "server/discover" and ERA == "modern":
        return {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, "serverInfo": INFO, **CACHE}
    if method == "initialize" and ERA == "legacy":
        return {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES, "serverInfo": INFO}
    if method == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("raw", "ok")], **CACHE}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": "fine"}]}
    return None


def lines_for(message: dict[str, Any]) -> list[str]:
    number, method, params = message.get("id"), message.get("method", ""), message.get("params") or {}
    if number is None:
        return []
    lines = ANSWERS.get(method)
    if method == "tools/call" and params["name"] == "raw":
        lines = params["arguments"]["lines"]
    if lines is not None:
        return [line.replace("$id", json.dumps(number)) for line in lines]
    found = result(method, params)
    if found is None:
        answer: dict[str, Any] = {"error": {"code": -32601, "message": f"Method not found: {method}"}}
    else:
        answer = {"result": found if ERA == "legacy" else {"resultType": "complete", **found}}
    return [json.dumps({"jsonrpc": "2.0", "id": number, **answer})]


if __name__ == "__main__":
    for received in sys.stdin:
        for sent in lines_for(json.loads(received)):
            sys.stdout.write(sent + "\n")
            sys.stdout.flush()
