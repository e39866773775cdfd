"""A bookshelf for chats: `shelf.py FILE` appends a line to FILE for each call that it receives.

`look` is marked as read-only, `burn` as destructive and `both` as both. `wait` never responds and `die` ends the server.
Written on bare JSON lines in the legacy protocol with the standard library only, so that it starts quickly.
"""

import json
import os
import sys

FILE = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
HINTS = {
    "look": {"readOnlyHint": True},
    "burn": {"destructiveHint": True},
    "both": {"destructiveHint": True, "readOnlyHint": True},
    "wait": None,
    "die": None,
}
SCHEMA = {"type": "object", "properties": {"book": {"type": "string"}}}


def send(message: dict[str, object]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main() -> None:
    tools = [
        {
            "name": name,
            "description": f"Does {name}.",
            "inputSchema": SCHEMA,
            **({"annotations": hints} if hints else {}),
        }
        for name, hints in HINTS.items()
    ]
    for line in sys.stdin:
        message = json.loads(line)
        method, number = message.get("method"), message.get("id")
        if number is None:
            continue
        if method == "initialize":
            info = {"name": "shelf", "version": "1.0"}
            version = message["params"]["protocolVersion"]
            result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
            send({"id": number, "result": result})
        elif method == "tools/list":
            send({"id": number, "result": {"tools": tools}})
        elif method == "tools/call":
            name, arguments = message["params"]["name"], message["params"].get("arguments") or {}
            os.write(FILE, f"{name} {arguments.get('book', '')}".strip().encode() + b"\n")
            if name == "die":
                print("fatal: the shelf is empty", file=sys.stderr, flush=True)
                os._exit(3)
            if name != "wait":
                send({"id": number, "result": {"content": [{"type": "text", "text": f"{name}: done"}]}})
        else:
            send({"id": number, "error": {"code": -32601, "message": f"Method not found: {method}"}})


main()
