"""A local HTTP server that stands in for Anthropic's Messages API. It has no model.

It rejects what the API rejects (`messages_rules`), and answers with what the test provides: see `MessagesApi`. The
helpers `text`, `calls`, `message` and `error` build single answers, `scripted` builds conversations. The server
implements `POST /v1/messages`, streamed (`messages_stream`) and not, and the Message Batches API (`batches_api`).
"""

import copy
import json
import logging
import re
import struct
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET, socket
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Literal, Self

from tests.support.batches_api import Batches
from tests.support.messages_rules import Block, mark, refusal
from tests.support.messages_stream import Streamed, chunks

Body = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """A received request. A body that is not a JSON object is recorded as an empty one."""

    body: Body
    headers: Mapping[str, str]  # names in lower case
    path: str


Failure = Literal["drop", "reset", "silent", "truncate"]
"""How sending a response fails.

Before the first byte, the connection is closed with a FIN (`drop`) or an RST (`reset`), or held open until the server
stops (`silent`). `truncate` closes it after half of the body, although `content-length` is that of the whole body.
"""


@dataclass(frozen=True)
class HttpReply:
    """An HTTP response. A dict is sent as JSON, a string unchanged. `fails` makes sending it fail.

    If `stream` is set, it is sent instead of the body, which is then the message that the stream contains.
    """

    status: int
    body: Body | str
    headers: Mapping[str, str] = field(default_factory=dict)
    fails: Failure | None = None
    stream: Streamed | None = None


Answer = Body | HttpReply | Streamed
"""A partial message, which the server completes; a message with its streaming behaviour; or an HTTP response."""


def error(
    status: int,
    kind: str,
    message: str,
    *,
    error_code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpReply:
    """Return an error response of the API, for example `error(529, "overloaded_error", "Overloaded")`."""
    content: Body = {"type": kind, "message": message}
    if error_code is not None:
        content["details"] = {"error_code": error_code}
    return HttpReply(status, {"type": "error", "error": content}, headers or {})


def message(
    content: Sequence[Block], *, stop_reason: str = "end_turn", usage: Body | None = None, **fields: Any
) -> Body:
    """Return a message. The server adds missing ids of tool uses and signatures of thinking blocks."""
    return {"content": list(content), "stop_reason": stop_reason, "usage": usage or {}, **fields}


def text(words: str) -> Body:
    """Return a message that consists of this text and ends the turn."""
    return message([{"type": "text", "text": words}])


def calls(*tools: tuple[str, Body], text: str | None = None) -> Body:
    """Return a message with the optional `text` and calls of these tools, each a name and an input."""
    blocks: list[Block] = [] if text is None else [{"type": "text", "text": text}]
    used: list[Block] = [{"type": "tool_use", "name": name, "input": arguments} for name, arguments in tools]
    return message(blocks + used, stop_reason="tool_use")


def scripted(conversations: Mapping[str, Sequence[Answer]]) -> Callable[[Body], Answer]:
    """Return an answer function that looks up conversations by their prompts.

    The prompt is the text of the first message (its text blocks, joined by newlines). The index of the answer is the
    number of assistant messages in the request. The function has no state, so conversations may run concurrently, and
    a retry gets the same answer again, errors included.
    """

    def answer(body: Body) -> Answer:
        prompt = prompt_of(body)
        turn = turn_of(body)
        if turn >= len(conversations.get(prompt, [])):
            raise LookupError(f"no answer in the script for turn {turn} of the prompt {prompt!r}")
        return conversations[prompt][turn]

    return answer


def prompt_of(body: Body) -> str:
    """Return the text of a request's first message."""
    content = body["messages"][0]["content"]
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")


def turn_of(body: Body) -> int:
    """Return the index of the requested turn: the number of assistant messages in the request."""
    return len([sent for sent in body["messages"] if sent["role"] == "assistant"])


class MessagesApi:
    """The server, as a context manager: `with MessagesApi(lambda body: text("5")) as api: ... api.url ...`.

    `answer` is called with the body of each valid request, in the thread of its connection. If it raises, the client
    receives a 400, so that it does not retry, and the server raises the exception when it stops. To simulate a server
    that hangs, return a reply with `fails="silent"`, or wait for `closed` in `answer`; its answer is then not sent.
    """

    url: str
    """The base URL, without a trailing slash."""

    patience = 5.0
    """Seconds to wait for answer functions when the server stops."""

    def __init__(
        self,
        answer: Callable[[Body], Answer],
        *,
        api_key: str = "sk-ant-test",
        unknown_models: Collection[str] = (),
    ) -> None:
        self.requests: list[Recorded] = []  # in order of arrival
        self.replies: list[HttpReply] = []  # in order of sending, each with its request-id header
        self.closed = threading.Event()
        self.faults: list[BaseException] = []  # exceptions from `answer` or the server itself
        self._answer = answer
        self._api_key = api_key
        self._unknown_models = unknown_models
        self._issued: dict[str, list[list[Block]]] = {}
        self._numbers: Mapping[str, Iterator[int]] = {
            prefix: count(1) for prefix in ("req_01", "msg_01", "toolu_01", "srvtoolu_01", "signature_01")
        }
        self._lock = threading.Lock()
        self._batching = threading.Lock()
        self.batches = Batches(self._in_batch)

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self.url = self.batches.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = _thread(self._server.serve_forever, 0.02)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if not self._server.close_connections(self.patience):
            self.faults.append(TimeoutError("an answer function is still running: let it wait for `closed`"))
        if raised is not None:
            for one in self.faults:
                raised.add_note(f"In the stub of the Messages API: {one!r}")
        elif self.faults:
            raise self.faults[0]

    def respond(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> HttpReply:
        """Record a request, and return and record its reply."""
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            body = None
        with self._lock:
            self.requests.append(Recorded(body if isinstance(body, dict) else {}, headers, path))
            request_id = self._new_id("req_01")
        reply = self._reply(method, path, headers, body)
        content = reply.body
        if isinstance(content, dict) and content.get("type") == "error":
            content = {**content, "request_id": request_id}
        reply = replace(reply, body=content, headers={"request-id": request_id, **reply.headers})
        with self._lock:
            self.replies.append(reply)
        return reply

    def _reply(self, method: str, path: str, headers: Mapping[str, str], body: Any) -> HttpReply:
        """Return the first error that applies to a request, else the answer of `answer`."""
        is_of_batches = re.fullmatch(r"/v1/messages/batches(/.*)?", path.partition("?")[0])
        if not is_of_batches and (method != "POST" or path.partition("?")[0] != "/v1/messages"):
            return error(404, "not_found_error", "Not found")
        bearer = f"Bearer {self._api_key}"  # the SDK sends this header, other clients x-api-key
        if headers.get("x-api-key") != self._api_key and headers.get("authorization") != bearer:
            return error(401, "authentication_error", "invalid x-api-key")
        if not headers.get("anthropic-version"):
            return error(400, "invalid_request_error", "anthropic-version: header is required")
        if is_of_batches:
            with self._batching:
                outcome, fault = self.batches.respond(method, path, body)
            if fault == "500":
                return error(500, "api_error", "Internal server error")
            if fault == "403":
                return error(403, "permission_error", "Not these")
            if fault == "garbage":
                lines = str(outcome[1]).split("\n", 1)
                return HttpReply(200, "{" + "\n".join(lines) if path.endswith("/results") else "[]")
            return HttpReply(*outcome, fails=fault)
        if body is None:
            return error(400, "invalid_request_error", "The request body is not valid JSON")
        return self._message(body)

    def _message(self, body: Any) -> HttpReply:
        """Return the reply to a request for one message, alone or in a batch."""
        if (problem := refusal(body, self._issued)) is not None:
            return error(400, "invalid_request_error", problem)
        if body["model"] in self._unknown_models:
            return error(404, "not_found_error", f"model: {body['model']}")
        try:
            answer = self._answer(body)
            if isinstance(answer, HttpReply):
                return answer
            streamed = answer if isinstance(answer, Streamed) else Streamed(answer)
            reply = self._issue(streamed.message, body)
            assert isinstance(reply.body, dict)
            return replace(reply, stream=replace(streamed, message=reply.body)) if body.get("stream") else reply
        except BaseException as fault:
            log.exception("the test's answer function failed")
            self.faults.append(fault)
            return error(400, "invalid_request_error", f"the test's answer function failed: {fault!r}")

    def _in_batch(self, body: Body) -> tuple[int, Body | str]:
        reply = self._message(body)
        return reply.status, reply.body

    def _issue(self, answer: Body, body: Body) -> HttpReply:
        """Complete a message, and record it so that it is recognised in later requests."""
        content: list[Block] = copy.deepcopy(answer["content"])
        with self._lock:
            for block in content:
                self._complete(block)
            for key in {mark(block) for block in content} - {None}:
                self._issued.setdefault(str(key), []).append(content)
            message_id = self._new_id("msg_01")
        completed = {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "stop_sequence": None,
            **answer,
            "content": content,
            "usage": {
                "input_tokens": len(json.dumps(body)) // 4,
                "output_tokens": len(json.dumps(content)) // 4,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                **answer.get("usage", {}),
            },
        }
        return HttpReply(200, completed)

    def _complete(self, block: Block) -> None:
        """Add a block's id or signature if it is missing."""
        if block["type"] == "tool_use" and "id" not in block:
            block["id"] = self._new_id("toolu_01")
        elif block["type"] == "server_tool_use" and "id" not in block:
            block["id"] = self._new_id("srvtoolu_01")
        elif block["type"] == "thinking" and "signature" not in block:
            block["signature"] = self._new_id("signature_01")

    def _new_id(self, prefix: str) -> str:
        """Return the next id with a prefix. The same requests in the same order get the same ids."""
        return f"{prefix}{next(self._numbers[prefix]):022}"


def _thread(work: Callable[..., None], *args: Any) -> threading.Thread:
    """Return a thread of the server, not yet started."""
    return threading.Thread(target=work, args=args, name="messages-api", daemon=True)


_RESET = struct.pack("ii", 1, 0)
"""The value of SO_LINGER that makes close() send an RST: enabled, with a timeout of 0 s."""


class _Server(ThreadingHTTPServer):
    """An HTTP server with one thread per connection. It tracks both so that it can end them when it stops."""

    request_queue_size = 128  # with the default of 5, some of many concurrent clients wait 1 s
    daemon_threads = True

    def __init__(self, api: MessagesApi) -> None:
        self.api = api
        self.connections: list[tuple[threading.Thread, socket]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's looks up the host name, which can take seconds
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = _thread(self.process_request_thread, request, client_address)
        self.connections = [(other, sock) for other, sock in self.connections if other.is_alive()]
        self.connections.append((thread, request))
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        if request.getsockopt(SOL_SOCKET, SO_LINGER, len(_RESET)) == _RESET:
            self.close_request(request)  # shutdown() would send a FIN before the RST
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        fault = sys.exception()
        if fault is not None and not isinstance(fault, ConnectionError):  # clients may disconnect at any time
            self.api.faults.append(fault)

    def close_connections(self, patience: float) -> bool:
        """End all connections. Return whether all threads ended within `patience` seconds."""
        for _, connection in self.connections:
            try:
                connection.shutdown(SHUT_RDWR)
            except OSError:  # already closed
                continue
        deadline = time.monotonic() + patience
        for thread, _ in self.connections:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread, _ in self.connections)


class _Handler(BaseHTTPRequestHandler):
    """Send the replies of `MessagesApi.respond` over persistent HTTP/1.1 connections."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: one write per response
    server: _Server

    def do_POST(self) -> None:
        """Read a request and send its reply."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        raw = self.rfile.read(int(headers.get("content-length", 0)))
        reply = self.server.api.respond(self.command, self.path, headers, raw)
        if reply.fails == "silent":
            self.server.api.closed.wait()
        if reply.fails == "reset":
            self.connection.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        if reply.fails in ("drop", "reset") or self.server.api.closed.is_set():
            self.close_connection = True
            return
        if reply.stream:
            self._stream(reply, reply.stream)
            return
        if isinstance(reply.body, str):
            kind, content = "text/plain; charset=utf-8", reply.body.encode()
        else:
            kind, content = "application/json", json.dumps(reply.body).encode()
        lines = {"content-type": kind, **reply.headers, "content-length": str(len(content))}
        self.send_response(reply.status)
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.fails == "truncate":
            self.close_connection = True
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def _stream(self, reply: HttpReply, stream: Streamed) -> None:
        """Send each event as a chunk. A stream that breaks lacks the final chunk."""
        self.send_response(reply.status)
        headers = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **reply.headers}
        for name, value in {**headers, "transfer-encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        for chunk in chunks(stream):
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()
        if stream.breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def do_GET(self) -> None:
        """Handle a request like a POST: only the batches have endpoints for GET."""
        self.do_POST()

    def log_message(self, *args: Any, **kwargs: Any) -> None:
        """Log nothing."""
