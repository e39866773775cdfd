"""A stdio server that floods its client, or closes its pipes and keeps running. Standard library only.

Arguments: the flood (a key of `FLOODS`, `stderr`, `lines` or `endless`) or the pipes to close (`stdout`, `stdin` or `both`),
and when: `call`, before it answers a tool call, or `initialize`. The tool `floodless` is answered normally.
"""

import json
import os
import signal
import sys
from typing import Any

WHAT, WHEN = sys.argv[1], sys.argv[2]
FLOODS: dict[str, dict[str, Any]] = {
    "pings": {"id": 0, "method": "ping"},
    "requests": {"id": 0, "method": "roots/list"},
    "elicitations": {
        "id": 0,
        "method": "elicitation/create",
        "params": {"message": "?", "requestedSchema": {"type": "object", "properties": {}}},
    },
    "messages": {"method": "notifications/message", "params": {"level": "info", "data": "x"}},
    "bad-messages": {"method": "notifications/message", "params": {"level": "LOUD", "data": "x"}},
    "changes": {"method": "notifications/tools/list_changed"},
    "progress": {"method": "notifications/progress", "params": {"progressToken": 0, "progress": 1}},
}


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def misbehave(number: int, token: Any) -> None:
    if WHAT in ("stdout", "both"):
        os.close(1)
    if WHAT in ("stdin", "both"):
        os.close(0)
    if WHAT == "stdin":  # stdin is closed before the response, so no later message is read
        send({"id": number, "result": {"content": []}})
    while WHAT in ("stdout", "stdin", "both"):
        if sys.platform == "win32":
            raise NotImplementedError
        signal.pause()
    count = 0
    while WHAT == "stderr":
        os.write(2, b"e" * 65536)
    while WHAT == "endless":
        os.write(1, b"x" * 65536)
    while WHAT == "lines":
        os.write(1, b"xyz\n" * 16384)
    while True:
        count += 1
        message = json.loads(json.dumps(FLOODS[WHAT]))
        if message.get("id") == 0:
            message["id"] = f"r{count}"
        if WHAT == "progress":
            message["params"]["progressToken"] = token
        send(message)


for line in sys.stdin:
    request = json.loads(line)
    number, method, params = request.get("id"), request.get("method"), request.get("params") or {}
    if number is None:
        continue
    if method == WHEN or (method == "tools/call" and WHEN == "call" and params["name"] != "floodless"):
        misbehave(number, (params.get("_meta") or {}).get("progressToken"))
    if method == "initialize":
        result: dict[str, Any] = {
            "protocolVersion": params["protocolVersion"],
            "serverInfo": {"name": "f", "version": "1"},
        }
        send({"id": number, "result": {**result, "capabilities": {"tools": {"listChanged": True}}}})
    elif method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("flood", "floodless")]
        send({"id": number, "result": {"tools": tools}})
    elif method == "tools/call":
        send({"id": number, "result": {"content": [{"type": "text", "text": "fine"}]}})
    else:
        send({"id": number, "error": {"code": -32601, "message": "no"}})
