"""Bodies of HTTP responses that are read up to a bound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2


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
