"""A server written on bare JSON lines, to send what no SDK would send. The first argument is the mode.

It speaks the legacy protocol: `initialize`, `tools/list`, `tools/call`. Standard library only.
"""

import json
import os
import signal
import sys
from typing import Any

MODE = sys.argv[1] if len(sys.argv) > 1 else ""
OBJECT = {"type": "object"}

ODD_TOOLS = [
    {"name": "files.read/all", "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}}},
    {"name": "files_read_all", "inputSchema": OBJECT},
    {"name": "x" * 200, "inputSchema": OBJECT},
    {
        "name": "keys",
        "inputSchema": {
            "type": "object",
            "properties": {
                "user id": {"type": "string"},
                "$filter": {"type": "object", "properties": {"é": {"type": "integer"}}, "required": ["é"]},
            },
            "required": ["user id"],
        },
    },
    {
        "name": "either",
        "inputSchema": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
    },
    {"name": "plain", "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}}},
    {"name": "broken", "inputSchema": {"type": "object", "properties": {"a": {"type": "strnig"}}}},
    {"name": "plain", "inputSchema": OBJECT},
]

TOOLS = [
    {"name": "ok", "inputSchema": OBJECT},
    {"name": "die", "inputSchema": OBJECT},
    {"name": "hang", "inputSchema": OBJECT},
    {"name": "refuse", "inputSchema": OBJECT},
    {"name": "invalid", "inputSchema": OBJECT},
    {"name": "latin", "inputSchema": OBJECT},
    {"name": "sorry", "inputSchema": OBJECT, "outputSchema": {"type": "object", "required": ["n"]}},
    {
        "name": "liar",
        "inputSchema": OBJECT,
        "outputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    },
]


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def result_of(tool: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    match tool:
        case "die" if MODE not in ("harmless", "withdraws"):
            print("fatal: out of cheese", file=sys.stderr, flush=True)
            os._exit(3)
        case "hang":
            return None
        case "invalid":
            return {"content": [{"type": "hologram"}]}
        case "sorry":
            return {"content": [{"type": "text", "text": "I can't"}], "isError": True}
        case "liar":
            return {"content": [{"type": "text", "text": "n is many"}], "structuredContent": {"n": "many"}}
    return {"content": [{"type": "text", "text": json.dumps([tool, arguments], sort_keys=True)}]}


NAMES = {"dotted": ["a.b"], "dotted-and-more": ["a.b", "a_b"], "dotted-no-more": ["a_b"]}


def tools_page(cursor: str | None) -> dict[str, Any]:
    if MODE == "odd":
        return {"tools": ODD_TOOLS}
    if MODE in NAMES:
        keys = {"type": "object", "properties": {"user id": {}}}
        return {"tools": [{"name": name, "inputSchema": keys} for name in NAMES[MODE]]}
    if MODE == "pages":
        page = int(cursor or 0)
        tools = [{"name": f"tool-{page:02}-{number}", "inputSchema": OBJECT} for number in (2, 1)]
        return {"tools": tools, **({"nextCursor": str(page + 1)} if page < 3 else {})}
    if MODE == "endless":
        return {"tools": [], "nextCursor": str(int(cursor or 0) + 1)}
    if MODE == "same-cursor":
        return {"tools": TOOLS, "nextCursor": "again"} if not cursor else {"tools": [], "nextCursor": "again"}
    if MODE == "no-list":
        return {"tools": None}
    return {"tools": TOOLS}


def wait_for_a_signal() -> None:
    """Keep running until a signal arrives."""
    if sys.platform == "win32":
        raise NotImplementedError
    signal.pause()


def main() -> None:
    if MODE == "exit":
        print("fatal: DATABASE_URL is not set", file=sys.stderr)
        sys.exit(7)
    if MODE in ("lingers", "withdraws"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE == "traceback":
        raise RuntimeError("fatal: can't even start")
    if MODE == "noise":
        print("Server is listening!", flush=True)
    calls = 0
    for line in sys.stdin:
        message = json.loads(line)
        method, number = message.get("method"), message.get("id")
        if MODE == "mute":
            print("thinking about it", file=sys.stderr, flush=True)
        elif number is None:
            continue
        elif method == "initialize":
            info = {"name": "raw", "version": "0"}
            version = message["params"]["protocolVersion"]
            send(
                {
                    "id": number,
                    "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info},
                }
            )
        elif method == "tools/list":
            send({"id": number, "result": tools_page(message.get("params", {}).get("cursor"))})
        elif method == "tools/call":
            name = message["params"]["name"]
            calls += 1
            if MODE == "dies-at-25" and calls == 25:
                os._exit(1)
            if name == "latin":  # contains a byte that is not valid UTF-8
                answer = {"jsonrpc": "2.0", "id": number, "result": {"content": [{"type": "text", "text": "caf@"}]}}
                sys.stdout.buffer.write(json.dumps(answer).encode().replace(b"@", b"\xe9") + b"\n")
                sys.stdout.flush()
                continue
            if name == "refuse":
                send({"id": number, "error": {"code": -32603, "message": "not today"}})
                continue
            result = result_of(name, message["params"].get("arguments") or {})
            if MODE == "deaf":  # before the response, so that no later message is read
                os.close(0)
            if result is not None:
                send({"id": number, "result": result})
            if MODE == "withdraws" and name == "die":  # close stdout, but keep running
                os.close(1)
            if MODE == "deaf" or (MODE == "withdraws" and name == "die"):
                wait_for_a_signal()
        elif MODE == "exit-on-probe":
            sys.exit("probed")
        else:
            send({"id": number, "error": {"code": -32601, "message": f"Method not found: {method}"}})
    if MODE == "lingers":
        wait_for_a_signal()


main()
