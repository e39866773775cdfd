"""Wrappers for the bodies of HTTP responses: one limits the size, the other replaces what is not valid Unicode."""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

from mcprun._util.surrogates import well_formed_bytes

_ESCAPED_PAIR_BYTES = 12
"""Length of an escaped surrogate pair, in bytes."""

_MAX_HELD_BYTES = 64 * 1024
"""Maximum number of bytes held back for a partial escape: a run of backslashes may never end."""

_PARTIAL = re.compile(rb"(?<!\\)\\++(?:u[0-9a-fA-F]{0,3}|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)?\Z")
"""An escape at the end of the data that the next chunk may complete."""


class BoundedStream(httpx2.AsyncByteStream):
    """A body of at most `max_bytes` bytes; `allowed` ends the error message by naming the limit.

    0 refuses any content, and is for a compressed body, which mcprun does not ask for. Reading more than `max_bytes`
    bytes raises `httpx2.StreamError`, whose message the SDK includes in the error that its caller gets.
    """

    def __init__(self, body: Any, max_bytes: int, allowed: str = "--max-result-bytes allows") -> None:
        self._body = body
        self._max_bytes = max_bytes
        self._allowed = allowed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for part in self._body:
            length += len(part)
            if not self._max_bytes:
                raise httpx2.StreamError("it is compressed, which mcprun does not accept")
            if length > self._max_bytes:
                raise httpx2.StreamError(f"it has more than the {self._max_bytes:,} bytes that {self._allowed}")
            yield part

    async def aclose(self) -> None:
        """Close the wrapped body, which releases the connection."""
        await self._body.aclose()


class WellFormed(httpx2.AsyncByteStream):
    """A JSON body in UTF-8, with U+FFFD in place of invalid bytes and escaped halves of surrogate pairs.

    `replaced` is called for each chunk in which a half was replaced: the SDK's JSON parser rejects them.
    """

    def __init__(self, body: Any, replaced: Callable[[], None]) -> None:
        self._body = body
        self._replaced = replaced
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held = b""
        async for part in self._body:
            data = held + self._decoder.decode(part).encode()
            end = partial.start() if (partial := _PARTIAL.search(data, _search_start(data))) else len(data)
            if len(data) - end > _MAX_HELD_BYTES:
                end = len(data)
            held = data[end:]
            if end:
                yield self._repair(data[:end])
        if rest := held + self._decoder.decode(b"", final=True).encode():
            yield self._repair(rest)

    def _repair(self, data: bytes) -> bytes:
        repaired = well_formed_bytes(data)
        if repaired != data:
            self._replaced()
        return repaired

    async def aclose(self) -> None:
        """Close the wrapped body, which releases the connection."""
        await self._body.aclose()


def _search_start(data: bytes) -> int:
    """Return the offset from which to search for a partial escape, never inside a run of backslashes."""
    place = max(0, len(data) - _ESCAPED_PAIR_BYTES)
    while place and data[place - 1 : place] == b"\\":
        place -= 1
    return place
