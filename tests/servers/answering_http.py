"""An HTTP server that sends valid responses, and every kind of invalid one.

`answering_http.py ERA [FLAW]` prints its port on the first line of stdout. ERA is `sessions` or `stateless` (MCP
2025-11-25), `modern` (2026-07-28), or `sse` (the transport of 2024-11-05). The response depends on the requested name: the
tool (`tools/call`), the prompt (`prompts/get`), or the last part of the resource's URI. The tool `counts` returns the
number of requests by name.

FLAW is a method that is answered with HTTP 500, or `METHOD=NAME` for the answer with that name. Standard library only.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JsonObject = dict[str, Any]

ERA = sys.argv[1] if len(sys.argv) > 1 else "sessions"
FLAWED, _, FLAW = (sys.argv[2] if len(sys.argv) > 2 else "").partition("=")

STATUSES = (400, 401, 403, 405, 408, 409, 413, 418, 422, 429, 500, 503, 504)
HTML = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>h1 {color: red}</style></head><body>\
<h1>502 Bad Gateway</h1><hr><center>nginx &amp; co</center><script>alert(1)</script></body></html>"
CLOSED, BROKEN, ENDED = (
    (-32000, "Connection closed"),
    (-32603, "Server returned an error response"),
    (-32600, "Session terminated"),
)


class State:
    """State shared by all threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sessions: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.failed = threading.Event()
        self.refuses = 0
        self.is_for_ever = False
        self.stream: Any = None


STATE = State()


class Handler(BaseHTTPRequestHandler):
    """Handle one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        if last := self.headers.get("Last-Event-ID"):
            self.resume(last)
            return
        if ERA != "sse":
            self.reply(405)
            return
        self.events("event: endpoint\r\ndata: /post?session=1")
        STATE.stream = self
        threading.Event().wait()

    def do_DELETE(self) -> None:
        self.reply(405)

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if ERA == "sse" and self.path == "/mcp":
            self.reply(405)
            return
        self.number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        name = str(params.get("name") or str(params.get("uri", "")).rsplit("/", 1)[-1])
        with STATE.lock:
            STATE.counts[" ".join(filter(None, (method or "response", name)))] += 1
        session = self.headers.get("Mcp-Session-Id", "")
        if FLAWED and (method or "response") == FLAWED and not (FLAW == "page-2" and not params.get("cursor")):
            ANSWERS.get(FLAW, ANSWERS["http-500"])(self)
            STATE.failed.set()
        elif method == "server/discover" and ERA == "modern":
            found = {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "serverInfo": INFO}
            self.result({**found, "ttlMs": 0, "cacheScope": "private"})
        elif method == "initialize" and ERA != "modern":
            self.initialize(params)
        elif session and session not in STATE.sessions:
            self.reply(STATE.refuses, b"no such session")
        elif self.number is None or method is None:
            self.reply(202)
        elif method == "ping":
            self.result({})
        elif method == "tools/list":
            self.result({**self.tools(params.get("cursor")), "ttlMs": 0, "cacheScope": "private"})
        elif method == "tools/call":
            self.called(name, params)
        elif method in ("prompts/get", "resources/read"):
            (ANSWERS[name] if name in ANSWERS else RESPONSES[method])(self)
        else:
            self.error(-32601, f"Method not found: {method}")

    def initialize(self, params: JsonObject) -> None:
        """Start a session if the era has sessions. Respond with 503 once new sessions are refused."""
        if STATE.is_for_ever:
            self.reply(503, b"no sessions today")
            return
        session = uuid.uuid4().hex if ERA == "sessions" else ""
        STATE.sessions.add(session)
        result = {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES, "serverInfo": INFO}
        self.result(result, {"Mcp-Session-Id": session} if session else {})

    def tools(self, cursor: str | None) -> JsonObject:
        """List the tools on two pages."""
        names = sorted([*ANSWERS, *TOOLS])
        names = names[len(names) // 2 :] if cursor else names[: len(names) // 2]
        tools = [
            {"name": name, "inputSchema": {"type": "object"}, "annotations": HINTS.get(name, {})} for name in names
        ]
        return {"tools": tools} if cursor else {"tools": tools, "nextCursor": "2"}

    def called(self, name: str, params: JsonObject) -> None:
        if name in ANSWERS:
            ANSWERS[name](self)
            STATE.failed.set()
        else:
            TOOLS[name](self, params.get("arguments") or {})

    def text(self, text: str) -> None:
        self.result({"content": [{"type": "text", "text": text}]})

    def result(self, result: JsonObject, headers: dict[str, str] | None = None) -> None:
        self.json({"id": self.number, "result": {"resultType": "complete", **result}}, headers=headers)

    def error(self, code: int, message: str, status: int = 200, number: Any = ...) -> None:
        self.body(self.error_text(code, message, number).encode(), status)

    def error_text(self, code: int, message: str, number: Any = ...) -> str:
        """Return a JSON-RPC error as text."""
        error = {"code": code, "message": message}
        return json.dumps({"jsonrpc": "2.0", "id": self.number if number is ... else number, "error": error})

    def json(self, message: JsonObject, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.body(json.dumps({"jsonrpc": "2.0", **message}).encode(), status, headers=headers)

    def body(self, body: bytes, status: int = 200, kind: str = "application/json", **more: Any) -> None:
        if ERA == "sse" and status == 200:
            with STATE.lock:
                STATE.stream.wfile.write(b": hello\r\nevent: message\r\ndata: " + body + b"\r\n\r\n")
            self.reply(202)
        else:
            self.reply(status, body, {"Content-Type": kind, **(more.get("headers") or {})})

    def reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def events(self, *events: str) -> None:
        """Send a stream of events, and close the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write("".join(event + "\n\n" for event in events).encode())

    def resume(self, last: str) -> None:
        """Resume a stream whose last event had the id `NAME NUMBER`."""
        name, _, number = last.partition(" ")
        self.number = int(number)
        match name:
            case "resumes":
                self.events(f"data: {self.answer().decode()}")
            case "resumes-error":
                self.events("data: " + self.error_text(*CLOSED))
            case _:
                self.reply(500, b"gone")

    def cut(self, head: bytes) -> None:
        """Send the beginning of a response, and close the connection."""
        self.wfile.write(head)
        self.wfile.flush()
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def reset(self) -> None:
        """Reset the connection without a response."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut(b"")

    def answer(self, text: str = "fine", number: Any = ...) -> bytes:
        """Return the JSON of a successful response."""
        result = {"content": [{"type": "text", "text": text}], "resultType": "complete"}
        return json.dumps({"jsonrpc": "2.0", "id": self.number if number is ... else number, "result": result}).encode()


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

ANSWERS: dict[str, Callable[[Handler], None]] = {
    **{f"http-{n}": (lambda h, n=n: h.body(b"the words of %d" % n, n, "text/plain")) for n in STATUSES},  # type: ignore[misc]
    "bare-404": lambda h: h.reply(404),
    "bare-500": lambda h: h.reply(500),
    "html-502": lambda h: h.body(HTML, 502, "text/html"),
    "json-500": lambda h: h.body(b'{"error": {"message": "database is down"}}', 500),
    "plain-json-500": lambda h: h.body(b'{"shard": 7}', 500),
    "problem-500": lambda h: h.body(b'{"title": "Oh no", "detail": "disk full"}', 500, "application/problem+json"),
    "rpc-500": lambda h: h.error(-32603, "database is down", 500),
    "rpc-data-500": lambda h: h.body(
        b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32603, "message": "database is down", "data": {"shard": 7}}}', 500
    ),
    "rpc-text-500": lambda h: h.body(b'{"jsonrpc": "2.0", "id": null, "error": "out of cheese"}', 500),
    "rpc-empty-422": lambda h: h.error(-32603, "", 422),
    "rpc-400": lambda h: h.error(-32602, "no such city", 400),
    "binary-500": lambda h: h.body(b"\x89PNG\xff\xfe", 500, "image/png"),
    "redirect": lambda h: h.reply(302, b"", {"Location": "http://user:pass@127.0.0.1:9/login?token=abc"}),
    "elsewhere": lambda h: h.reply(307, b"", {"Location": "http://127.0.0.2:9/mcp"}),
    "empty-200": lambda h: h.body(b""),
    "http-202": lambda h: h.reply(202),
    "http-204": lambda h: h.reply(204),
    "html-200": lambda h: h.body(HTML, 200, "text/html"),
    "array": lambda h: h.body(b"[" + h.answer() + b"]"),
    "two": lambda h: h.body(h.answer() + h.answer()),
    "a-notification": lambda h: h.body(b'{"jsonrpc": "2.0", "method": "notifications/message", "params": {}}'),
    "half": lambda h: h.body(h.answer()[:40]),
    "words": lambda h: h.body(b"we are closed"),
    "error-text": lambda h: h.body(b'{"jsonrpc": "2.0", "id": %d, "error": "out of cheese"}' % h.number),
    "deep": lambda h: h.body(h.answer().replace(b'"fine"', b"[" * 3000 + b"]" * 3000)),
    "zipped": lambda h: h.body(gzip.compress(h.answer()), headers={"Content-Encoding": "gzip"}),
    "zip-garbage": lambda h: h.body(b"no zip", headers={"Content-Encoding": "gzip"}),
    "cut-length": lambda h: h.cut(JSON + b"Content-Length: 900\r\n\r\n" + h.answer()[:40]),
    "cut-chunk": lambda h: h.cut(JSON + b"Transfer-Encoding: chunked\r\n\r\n80\r\n" + h.answer()[:40]),
    "bad-chunk": lambda h: h.cut(JSON + b"Transfer-Encoding: chunked\r\n\r\nnot hex\r\n"),
    "cut-500": lambda h: h.cut(b"HTTP/1.1 500 Oh\r\nContent-Length: 900\r\n\r\nhalf of the reason"),
    "other-id": lambda h: h.body(h.answer(number=99_999)),
    "events-end": lambda h: h.events('data: {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}'),
    "events-none": lambda h: h.events(),
    "events-bad": lambda h: h.events("data: we are closed"),
    "closed": lambda h: h.error(*CLOSED),
    "broken": lambda h: h.error(*BROKEN),
    "ended": lambda h: h.error(*ENDED),
    "closed-event": lambda h: h.events("data: " + h.error_text(*CLOSED)),
    "resumes-error": lambda h: h.events(f"id: resumes-error {h.number}\nretry: 5\ndata:"),
    "resumes-never": lambda h: h.events(f"id: resumes-never {h.number}\nretry: 5\ndata:"),
    "error-data": lambda h: h.body(
        b'{"jsonrpc": "2.0", "id": %d, "error": {"code": -32603, "message": "Internal error", "data": {"id": 7}}}' % h.number
    ),
    "null-id": lambda h: h.error(-32603, "database is down", number=None),
    "no-id": lambda h: h.body(b'{"jsonrpc": "2.0", "error": {"code": 1, "message": "database is down"}}'),
}  # fmt: skip
"""Responses without a usable result, by name."""

VALID_ANSWERS: dict[str, Callable[[Handler, JsonObject], None]] = {
    "ok": lambda h, _: h.text("fine"),
    "id-text": lambda h, _: h.body(h.answer(number=str(h.number))),
    "id-null": lambda h, _: h.body(h.answer(number=None)),
    "id-object": lambda h, _: h.body(h.answer(number={})),
    "id-float": lambda h, _: h.body(h.answer(number=float(h.number))),
    "events": lambda h, _: h.events(": hello", "id: 1\nretry: 5\ndata:", f"data: {h.answer().decode()}"),
    "events-id": lambda h, _: h.events(f"event: message\ndata: {h.answer(number=str(h.number)).decode()}"),
    "resumes": lambda h, _: h.events(f"id: resumes {h.number}\nretry: 5\ndata:"),
    "broken-utf8": lambda h, _: h.body(h.answer().replace(b"fine", b"fi\xffne")),
    "surrogate": lambda h, _: h.body(h.answer().replace(b"fine", b"fi\\ud800ne")),
    "typed": lambda h, _: h.body(h.answer(), 200, "Application/JSON; charset=utf-8"),
}
"""Responses with a result, some of them unusual, by name."""


def big(handler: Handler, arguments: JsonObject) -> None:
    """Respond with a text of `bytes` bytes, as an event stream if `events`."""
    answer = handler.answer("x" * arguments["bytes"])
    handler.events("data: " + answer.decode()) if arguments.get("events") else handler.body(answer)


def busy(handler: Handler, arguments: JsonObject) -> None:
    """Refuse the first `times` calls with a status and `Retry-After`."""
    if STATE.counts["tools/call " + arguments["name"]] <= arguments.get("times", 1):
        headers = {"Retry-After": str(arguments.get("after", 0))}
        handler.body(b"too busy", arguments.get("status", 429), "text/plain", headers=headers)
    else:
        handler.text("fine")


def waits(handler: Handler, arguments: JsonObject) -> None:
    """Respond once another call has failed."""
    del arguments
    STATE.failed.wait(60)
    handler.text("fine")


def asks(handler: Handler, arguments: JsonObject) -> None:
    """Send an elicitation request, and respond once its answer was refused (FLAW `response`)."""
    del arguments
    form = {"message": "Which?", "requestedSchema": {"type": "object", "properties": {}}}
    request = {"jsonrpc": "2.0", "id": "a", "method": "elicitation/create", "params": form}
    handler.events(f"data: {json.dumps(request)}")
    handler.wfile.flush()
    STATE.failed.wait(60)
    handler.wfile.write(b"data: " + handler.answer() + b"\n\n")


def counts(handler: Handler, arguments: JsonObject) -> None:
    """Respond with the number of requests by name."""
    del arguments
    handler.text(json.dumps(STATE.counts))


def forget(handler: Handler, arguments: JsonObject) -> None:
    """Respond, and forget all sessions. Refuse old ones with `status`, and new ones too if `for_ever`."""
    handler.text("fine")
    STATE.refuses, STATE.is_for_ever = arguments.get("status", 404), arguments.get("for_ever", False)
    STATE.sessions.clear()


TOOLS: dict[str, Callable[[Handler, JsonObject], None]] = {
    **VALID_ANSWERS,
    "big": big,
    "reading": lambda h, a: busy(h, {"name": "reading", **a}),
    "repeatable": lambda h, a: busy(h, {"name": "repeatable", **a}),
    "writing": lambda h, a: busy(h, {"name": "writing", **a}),
    "waits": waits,
    "asks": asks,
    "counts": counts,
    "forget": forget,
    "never": lambda h, _: h.reply(404, b"never heard of it"),
    "resets": lambda h, _: h.reset(),
}
HINTS = {"reading": {"readOnlyHint": True}, "repeatable": {"idempotentHint": True}, "writing": {"readOnlyHint": False}}
CAPABILITIES: JsonObject = {"tools": {}, "prompts": {}, "resources": {}}
INFO = {"name": "answering", "version": "1"}
RESPONSES: dict[str, Callable[[Handler], None]] = {
    "prompts/get": lambda h: h.result({"messages": [{"role": "user", "content": {"type": "text", "text": "Go."}}]}),
    "resources/read": lambda h: h.result({"contents": [{"uri": "a://ok", "text": "Go."}], "ttlMs": 0, "cacheScope": "private"}),
}  # fmt: skip


class AnsweringServer(ThreadingHTTPServer):
    """An HTTP server that logs no error for clients that disconnect."""

    daemon_threads = True
    request_queue_size = 128  # with the default of 5, simultaneous connections are reset

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError | ValueError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    with AnsweringServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
