"""Bodies of HTTP responses that are read so far, and no further, or whose beginning was read before."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

_LINE_END = re.compile(rb"\r\n|\n|\r")
_EVENT_END = re.compile(rb"((?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n)))")


class Bounded(httpx2.AsyncByteStream):
    """A body of at most `most` bytes, which `allowed` says who allows; 0 is for one that nobody asked for.

    Reading more raises `httpx2.StreamError`, and the SDK tells the caller what it raises behind it.
    """

    def __init__(self, body: Any, most: int, allowed: str = "--max-result-bytes allows") -> None:
        self._body = body
        self._most = most
        self._allowed = allowed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for part in self._body:
            length += len(part)
            if not self._most:
                raise httpx2.StreamError("it is compressed, and nobody asked for that")
            if length > self._most:
                raise httpx2.StreamError(f"it has more than the {self._most:,} bytes that {self._allowed}")
            yield part

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._body.aclose()


class Mended(httpx2.AsyncByteStream):
    """A body whose JSON-RPC messages are `mended` before the SDK reads them: one of JSON, or a stream of events."""

    def __init__(self, body: Any, mend: Callable[[bytes], bytes], *, has_events: bool) -> None:
        self._body = body
        self._mend = mend
        self._has_events = has_events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._has_events:
            yield self._mend(b"".join([part async for part in self._body]))
            return
        held = b""
        async for part in self._body:
            *events, held = _EVENT_END.split(held + part)  # each with its end behind it
            for event, end in zip(events[::2], events[1::2], strict=True):
                yield self._event(event) + end
        yield held

    def _event(self, event: bytes) -> bytes:
        """Mend the data of an event (WHATWG HTML, "Server-sent events"); its other fields stay."""
        lines = _LINE_END.split(event)
        data = [line.partition(b":")[2].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        if not data or (new := self._mend(b"\n".join(data))) == b"\n".join(data):
            return event
        return b"\n".join([*(line for line in lines if not line.startswith(b"data")), b"data: " + new])

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._body.aclose()


class Begun(httpx2.AsyncByteStream):
    """A body whose beginning may be read ahead of whoever reads the whole of it."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._parts: AsyncIterator[bytes] = aiter(body)
        self._read: list[bytes] = []

    async def beginning(self, most: int) -> bytes:
        """Read about so many bytes of it, or less where it ends before. Raises `httpx2.HTTPError`."""
        while len(data := b"".join(self._read)) < most:
            if not (part := await anext(self._parts, b"")):
                break
            self._read.append(part)
        return data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._read:
            yield part
        async for part in self._parts:
            yield part

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._body.aclose()
