"""Bodies of HTTP responses, read up to a bound, and with U+FFFD in place of what UTF-8 cannot hold."""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

from mcprun._util.surrogates import well_formed_bytes

_LONGEST = 12
"""Bytes of an escaped surrogate pair."""

_MOST_HELD = 64 * 1024
"""Bytes that are held back for what follows: a run of backslashes has no end of its own."""

_BEGUN = re.compile(rb"(?<!\\)\\++(?:u[0-9a-fA-F]{0,3}|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)?\Z")
"""An escape that what follows may complete."""


class BoundedStream(httpx2.AsyncByteStream):
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


class WellFormed(httpx2.AsyncByteStream):
    """A body of JSON in UTF-8, in which U+FFFD stands for what UTF-8 cannot hold.

    `replaced` is called for halves of surrogate pairs, which the SDK's reader does not accept.
    """

    def __init__(self, body: Any, replaced: Callable[[], None]) -> None:
        self._body = body
        self._replaced = replaced
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held = b""
        async for part in self._body:
            data = held + self._decoder.decode(part).encode()
            end = begun.start() if (begun := _BEGUN.search(data, _place(data))) else len(data)
            if len(data) - end > _MOST_HELD:
                end = len(data)
            held = data[end:]
            if end:
                yield self._repaired(data[:end])
        if rest := held + self._decoder.decode(b"", final=True).encode():
            yield self._repaired(rest)

    def _repaired(self, data: bytes) -> bytes:
        repaired = well_formed_bytes(data)
        if repaired != data:
            self._replaced()
        return repaired

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._body.aclose()


def _place(data: bytes) -> int:
    """Return where to look for an escape that has only begun: not within a run of backslashes."""
    place = max(0, len(data) - _LONGEST)
    while place and data[place - 1 : place] == b"\\":
        place -= 1
    return place
