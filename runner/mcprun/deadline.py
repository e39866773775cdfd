"""A deadline that stands still while there is nothing to do but wait: for a rate limit, for a restarting server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self


class Deadline:
    """Bounds the time of its context, `seconds` in all, not counting what is spent `paused`.

    Raises `TimeoutError` from the context when the time is over. `waited` is the time that was not counted.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.waited = 0.0
        self._timeout = asyncio.Timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._timeout.reschedule(asyncio.get_running_loop().time() + self.seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, trace)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock for the length of the context. Pauses of one deadline do not overlap."""
        loop = asyncio.get_running_loop()
        began, due = loop.time(), self._timeout.when()
        self._timeout.reschedule(None)
        try:
            yield
        finally:
            pause = loop.time() - began
            self.waited += pause
            if due is not None:
                self._timeout.reschedule(due + pause)
