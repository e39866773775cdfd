"""A hostile Streamable HTTP server: expiring sessions, reset connections and huge responses.

`hostile_http.py MODE [PORT]` prints its port on the first line of stdout and serves until it is terminated. Every mode has
the tool `ok`. It speaks the legacy protocol and responds with JSON bodies, except for `big-sse`. Standard library only.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JsonObject = dict[str, Any]

MODE = sys.argv[1] if len(sys.argv) > 1 else ""
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 0
OBJECT: JsonObject = {"type": "object"}
SIZED: JsonObject = {"type": "object", "properties": {"bytes": {"type": "integer"}}, "required": ["bytes"]}
OK = b'{"content":[{"type":"text","text":"ok"}]}'

CALLS_PER_SESSION = 3
"""Calls before a session expires in the modes `expires`, `expires-null` and `expires-bare`."""

RESET_INTERVAL = 5
"""In the mode `resets`, every fifth call gets a TCP reset."""

TOOLS: dict[str, dict[str, JsonObject]] = {"goes-away": {"die": OBJECT}, "big": {"big": SIZED, "big-sse": SIZED}}


class State:
    """State shared by all threads: the number of calls, in total and per session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, int] = {}
        self._calls = 0

    def new_session(self) -> str:
        session = uuid.uuid4().hex
        with self._lock:
            self._sessions[session] = 0
        return session

    def knows(self, session: str) -> bool:
        """Return whether a session is still valid."""
        with self._lock:
            calls = self._sessions.get(session)
        return calls is not None and not (MODE.startswith("expires") and calls >= CALLS_PER_SESSION)

    def forget(self, session: str) -> None:
        with self._lock:
            self._sessions.pop(session, None)

    def call(self, session: str) -> int:
        """Count a call, and return the total number of calls."""
        with self._lock:
            self._sessions[session] = self._sessions.get(session, 0) + 1
            self._calls += 1
            return self._calls


STATE = State()


class Handler(BaseHTTPRequestHandler):
    """Handle one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        session = self.headers.get("Mcp-Session-Id", "")
        self._reply(404 if session and not STATE.knows(session) else 405)

    def do_DELETE(self) -> None:
        if MODE == "never-deletes":
            threading.Event().wait()
        session = self.headers.get("Mcp-Session-Id", "")
        known = STATE.knows(session)
        STATE.forget(session)
        self._reply(200 if known else 404)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        method, number = message.get("method"), message.get("id")
        session = self.headers.get("Mcp-Session-Id", "")
        if method == "initialize":
            result = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "hostile", "version": "0"},
            }
            self._result(number, json.dumps(result).encode(), session=STATE.new_session())
        elif session and not STATE.knows(session):
            self._expired(number)
        elif number is None or method is None:
            self._reply(202)
        elif method == "tools/list":
            schemas = {"ok": OBJECT, **TOOLS.get(MODE, {})}
            tools = [{"name": name, "inputSchema": schema} for name, schema in schemas.items()]
            self._result(number, json.dumps({"tools": tools}).encode())
        elif method == "tools/call":
            self._call(number, message["params"], STATE.call(session))
        else:
            self._json({"id": number, "error": {"code": -32601, "message": f"Method not found: {method}"}})

    def _call(self, number: Any, params: JsonObject, count: int) -> None:
        tool, arguments = params["name"], params.get("arguments") or {}
        if MODE == "resets" and count % RESET_INTERVAL == 0:
            self._reset()
        elif tool == "die":
            os._exit(1)
        elif tool in ("big", "big-sse"):
            content = b'{"content":[{"type":"text","text":"%s"}]}' % (b"x" * int(arguments.get("bytes", 0)))
            self._result(number, content, as_event=tool == "big-sse")
        else:
            self._result(number, OK)

    def _expired(self, number: Any) -> None:
        """Respond with 404 and a JSON-RPC error, one without an id (as some SDKs send it), or an empty body."""
        if MODE == "expires-bare":
            self._reply(404)
            return
        number = None if MODE == "expires-null" else number
        self._json({"id": number, "error": {"code": -32001, "message": "Session not found"}}, status=404)

    def _reset(self) -> None:
        """Reset the TCP connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()  # it keeps the socket open
        self.connection.close()

    def _result(self, number: Any, result: bytes, *, session: str = "", as_event: bool = False) -> None:
        body = b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (json.dumps(number).encode(), result)
        if as_event:
            self._reply(200, b"event: message\ndata: %s\n\n" % body, "text/event-stream", session)
        else:
            self._reply(200, body, "application/json", session)

    def _json(self, message: JsonObject, status: int = 200) -> None:
        self._reply(status, json.dumps({"jsonrpc": "2.0", **message}).encode(), "application/json")

    def _reply(self, status: int, body: bytes = b"", kind: str = "", session: str = "") -> None:
        self.send_response(status)
        if session:
            self.send_header("Mcp-Session-Id", session)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class HostileServer(ThreadingHTTPServer):
    """An HTTP server that logs no error for clients that disconnect."""

    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def main() -> None:
    with HostileServer(("127.0.0.1", PORT), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


main()
