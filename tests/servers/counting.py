"""A server that records its calls: `counting.py FILE [N]` appends a line to FILE for each answered call.

The line is written after the response. With N, each process kills itself after N calls. Written on bare JSON lines in the
legacy protocol with the standard library only, so that it starts quickly.
"""

import json
import os
import signal
import sys

FILE = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
LAST = int(sys.argv[2]) if len(sys.argv) > 2 else None
NUMBER = {"type": "number"}
ADD = {
    "name": "add",
    "inputSchema": {"type": "object", "properties": {"a": NUMBER, "b": NUMBER}, "required": ["a", "b"]},
}


def send(message: dict[str, object]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main() -> None:
    calls = 0
    for line in sys.stdin:
        message = json.loads(line)
        method, number = message.get("method"), message.get("id")
        if number is None:
            continue
        if method == "initialize":
            info = {"name": "counting", "version": "0"}
            version = message["params"]["protocolVersion"]
            result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
            send({"id": number, "result": result})
        elif method == "tools/list":
            send({"id": number, "result": {"tools": [ADD]}})
        elif method == "tools/call":
            arguments = message["params"]["arguments"]
            send(
                {"id": number, "result": {"content": [{"type": "text", "text": str(arguments["a"] + arguments["b"])}]}}
            )
            os.write(FILE, f"add {json.dumps(arguments, sort_keys=True, separators=(',', ':'))}\n".encode())
            calls += 1
            if calls == LAST:
                if sys.platform == "win32":
                    raise NotImplementedError
                os.kill(os.getpid(), signal.SIGKILL)
        else:
            send({"id": number, "error": {"code": -32601, "message": f"Method not found: {method}"}})


main()
