"""A connection without a network: how responses may be split, and how much is buffered."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.models.http.connection import HttpConnection, ResponseHead
from tests.support import virtual_time
from tests.support.examples import examples

OK = b"HTTP/1.1 200 OK\r\n"


class Wire(asyncio.Transport):
    """A transport that records what the connection does with it."""

    def __init__(self) -> None:
        super().__init__({"socket": self})
        self.written = b""
        self.actions: list[str] = []

    def fileno(self) -> int:
        """Return the number of no file."""
        return -1

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.actions.append("abort")

    def pause_reading(self) -> None:
        self.actions.append("pause")

    def resume_reading(self) -> None:
        self.actions.append("resume")


def connect() -> tuple[HttpConnection, Wire]:
    """Return a connection that has sent a request."""
    connection, wire = HttpConnection(), Wire()
    connection.connection_made(wire)
    connection.send(b"request")
    return connection, wire


async def read(connection: HttpConnection) -> tuple[ResponseHead, bytes]:
    """Return the whole response."""
    head, body = await connection.receive_head(), b""
    while piece := await connection.receive():
        body += piece
    return head, body


names = st.from_regex(r"x-[a-z]{1,8}", fullmatch=True)
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12)
bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


@st.composite
def draw_response(draw: st.DrawFn) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """Draw a response as bytes, its headers and its body, which is sent in chunks or after its length."""
    headers = [(name.encode(), value.encode()) for name, value in draw(st.lists(st.tuples(names, values), max_size=4))]
    pieces = draw(bodies)
    body = b"".join(pieces)
    if draw(st.booleans()):
        headers.append((b"transfer-encoding", b"chunked"))
        sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        headers.append((b"content-length", b"%d" % len(body)))
        sent = body
    before = b"HTTP/1.1 100 Continue\r\n\r\n" if draw(st.booleans()) else b""
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return before + OK + lines + b"\r\n" + sent, headers, body


@given(draw_response(), st.data())
@settings(max_examples=examples(300))
def test_response_is_read_however_it_is_split(
    response: tuple[bytes, list[tuple[bytes, bytes]], bytes], data: st.DataObject
) -> None:
    """The head and the body do not depend on the pieces in which they are received, or on when they are read."""
    sent, headers, body = response
    cuts = sorted(data.draw(st.sets(st.integers(0, len(sent)), max_size=8)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    is_early = data.draw(st.booleans())

    async def receive() -> tuple[ResponseHead, bytes]:
        connection, _ = connect()
        reading = asyncio.create_task(read(connection))
        for piece in filter(None, pieces):
            if is_early:
                await asyncio.sleep(0)
            connection.data_received(piece)
        found = await reading
        assert connection.is_reusable
        return found

    head, received = asyncio.run(receive())
    assert (head.status, head.reason, head.headers, received) == (200, b"OK", headers, body)


async def test_body_that_is_not_read_is_not_received_without_bound() -> None:
    """Reading from the socket pauses while much of the body is buffered, and resumes once it was read."""
    connection, wire = connect()
    connection.data_received(OK + b"content-length: 10000000\r\n\r\n")
    await connection.receive_head()
    piece = bytes(100_000)
    for _ in range(4):
        connection.data_received(piece)
    assert "pause" in wire.actions
    assert "resume" not in wire.actions
    assert await connection.receive() == piece * 4
    assert wire.actions[-1] == "resume"


async def test_connection_whose_response_was_not_read_is_not_reusable() -> None:
    """A response that has arrived, but was left unread, is not mixed with the next one."""
    connection, _ = connect()
    connection.data_received(OK + b"content-length: 2\r\n\r\nok")
    await connection.receive_head()
    assert not connection.is_reusable
    assert await connection.receive() == b"ok"
    assert connection.is_reusable


def test_time_limit_applies_to_each_wait() -> None:
    """A response may take longer than the limit, as long as something arrives within it, and so may the next request."""

    async def receive() -> None:
        loop, connection, wire = asyncio.get_running_loop(), HttpConnection(), Wire()
        connection.connection_made(wire)
        connection.send(b"request", read_timeout_s=10)
        for after, data in enumerate((OK + b"content-length: 4\r\n\r\n", b"bo", b"dy"), start=1):
            loop.call_later(6 * after, connection.data_received, data)
        assert (await read(connection))[1] == b"body"
        await asyncio.sleep(60)
        assert connection.is_reusable
        connection.send(b"request", read_timeout_s=10)
        with pytest.raises(httpx2.ReadTimeout):
            await connection.receive_head()
        assert (loop.time(), wire.actions) == (88, ["abort"])

    virtual_time.run(receive())


async def test_request_is_written_at_once() -> None:
    """Head and body leave in one write, thus usually in one packet."""
    _, wire = connect()
    assert wire.written == b"request"


async def test_head_is_found_by_name_in_any_case() -> None:
    """`header` returns the first value of a header."""
    head = ResponseHead(200, b"OK", [(b"Content-Length", b"5"), (b"content-length", b"6")])
    assert (head.header(b"content-length"), head.header(b"x")) == (b"5", None)
