"""A client's connection for HTTP/1.1 (RFC 9112). Responses are parsed by llhttp, the compiled parser of Node.js."""

from __future__ import annotations

import asyncio
import select
import sys
from dataclasses import dataclass

import httptools
import httpx2

MAX_HEAD_BYTES = 100 * 1024
"""The most bytes before, between and after the pieces of a body, as in the SDK's own HTTP client."""

_MAX_BUFFERED_BYTES = 256 * 1024
"""The bytes of a body that wait to be read, above which no more are received."""

_ACCEPTED = {
    "lenient_optional_cr_before_lf": True,  # a line may end in LF alone (RFC 9112, section 2.2)
    "lenient_version": True,  # HTTP/1.2 (section 2.3)
    "lenient_headers": True,  # folded lines (section 5.2), and control characters, which some cookies contain
    "lenient_chunked_length": True,  # chunks override a length (section 6.3)
    "lenient_spaces_after_chunk_size": True,  # some servers pad the size
    "lenient_keep_alive": True,  # another response follows an informational one that closes, or is HTTP/1.0
}
"""What llhttp accepts on request, and the SDK's own HTTP client always."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The status line and the headers of a response, with names and values as they were received."""

    status: int
    reason: bytes
    headers: Headers

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header whose name is given in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class HttpConnection(asyncio.Protocol):
    """A connection that carries one request at a time: `send`, `receive_head`, and `receive` until it returns `b""`.

    The last two raise `httpx2.RemoteProtocolError` for a response that is invalid or incomplete, `httpx2.ReadError` if
    the connection breaks, and `httpx2.ReadTimeout` if nothing is received for too long. The connection is then closed.
    It must be closed, too, if a response is not read to its end.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._read_timeout_s: float | None = None
        self._is_closed = False
        self._is_complete = True
        self._failure: httpx2.TransportError | None = None
        self._head: ResponseHead | None = None
        self._body: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**_ACCEPTED)

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent: the last response was read, and neither side has closed."""
        return self._is_complete and not self._body and not self._is_closed and not self._failure

    @property
    def is_readable(self) -> bool:
        """Whether the event loop has yet to pass on what was received: of a connection that is free, its end."""
        if sys.platform == "win32":
            return bool(select.select([self._socket], [], [], 0)[0])
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def send(self, request: bytes, read_timeout_s: float | None = None) -> None:
        """Send a request, head and body; it is buffered if the peer is slow. The timeout limits each wait for data."""
        self._read_timeout_s = read_timeout_s
        self._is_complete = False
        self._head = None
        self._headers: Headers = []
        self._reason = b""
        self._body = []
        self._head_bytes = self._body_bytes = self._buffered_bytes = 0
        self._transport.write(request)

    async def receive_head(self) -> ResponseHead:
        """Return the head of the response."""
        while self._head is None:
            await self._wait()
        return self._head

    async def receive(self) -> bytes:
        """Return the next piece of the body, or `b""` at its end."""
        while not self._body and not self._is_complete:
            await self._wait()
        piece = b"".join(self._body)
        self._body.clear()
        if self._buffered_bytes > _MAX_BUFFERED_BYTES and not self._is_closed:
            self._transport.resume_reading()
        self._buffered_bytes = 0
        return piece

    def close(self) -> None:
        """Close the connection at once."""
        self._is_closed = True
        self._transport.abort()

    async def _wait(self) -> None:
        """Wait until something was received. Raise the failure of the connection."""
        if self._failure:
            raise self._failure
        self._waiter = self._loop.create_future()
        timer = None
        if self._read_timeout_s is not None:
            timer = self._loop.call_later(self._read_timeout_s, self._fail, httpx2.ReadTimeout(""))
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, failure: httpx2.TransportError) -> None:
        self._failure = self._failure or failure
        self._transport.abort()
        self._wake()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  the type that `create_connection` passes
        self._transport = transport
        self._socket = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        """Parse what was received."""
        if self._is_complete:  # of a free connection: it would be read as the response to the next request
            self.close()
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx2.RemoteProtocolError("the server switched to another protocol"))
        except httptools.HttpParserError as error:
            self._fail(httpx2.RemoteProtocolError(f"invalid HTTP response: {error}"))
        else:
            if self._head_bytes > MAX_HEAD_BYTES and not self._is_complete:
                self._fail(httpx2.RemoteProtocolError(f"the headers of the response exceed {MAX_HEAD_BYTES} bytes"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Complete the response, or fail, depending on what was received before."""
        self._is_closed = True
        if exc:
            self._fail(httpx2.ReadError(str(exc)))
        elif self._is_complete:
            return
        elif self._head is None:
            self._fail(httpx2.RemoteProtocolError("Server disconnected without sending a response."))
        elif self._head.header(b"transfer-encoding"):
            self._fail(_incomplete_body("incomplete chunked read"))
        elif expected := self._head.header(b"content-length"):
            self._fail(_incomplete_body(f"received {self._body_bytes} bytes, expected {expected.decode()}"))
        else:  # the body ends where the connection does (RFC 9112, section 6.3)
            self._is_complete = True
            self._wake()

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """Reject a second response to one request."""
        if self._is_complete:
            raise httpx2.RemoteProtocolError("a response that no request asked for")

    def on_status(self, status: bytes) -> None:
        """Collect the reason phrase, which may arrive in pieces."""
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header. The whitespace after its value is not part of it (RFC 9112, section 5)."""
        self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Keep the head of the response, unless it is informational (RFC 9110, section 15.2): another one follows.

        Reject transfer codings that no request asks for (RFC 9112, section 7): the body would not be what was meant.
        """
        head = ResponseHead(self._parser.get_status_code(), self._reason, self._headers)
        self._headers, self._reason = [], b""
        coding = head.header(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            self._fail(httpx2.RemoteProtocolError(f"unsupported Transfer-Encoding: {coding.decode('latin-1')}"))
        elif head.status >= 200:
            self._head = head
            self._wake()

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, and stop receiving if too many wait to be read."""
        self._body.append(body)
        self._head_bytes = 0
        self._body_bytes += len(body)
        self._buffered_bytes += len(body)
        if self._buffered_bytes > _MAX_BUFFERED_BYTES:
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Mark the response as complete, unless it was informational."""
        if self._head is None:
            return
        self._is_complete = True
        if not self._parser.should_keep_alive():
            self.close()
        self._wake()


def _incomplete_body(detail: str) -> httpx2.RemoteProtocolError:
    return httpx2.RemoteProtocolError(f"peer closed connection without sending complete message body ({detail})")
