"""A deadline that stands still while there is nothing to do but wait: for a rate limit, for a batch, at a gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self


class Deadline:
    """Bounds the time of its context, `seconds` in all, not counting what is spent `paused`.

    Raises `TimeoutError` from the context when the time is over. `waited` is the time that was not counted; `worked`,
    once the context is over, what was.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.waited = self.worked = 0.0
        self._pauses = 0
        self._began = self._entered = 0.0
        self._due: float | None = None
        self._is_running = False
        self._timeout: asyncio.Timeout

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(self.seconds)
        await self._timeout.__aenter__()
        self._entered = asyncio.get_running_loop().time()
        self._is_running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_running = False
        self.worked = asyncio.get_running_loop().time() - self._entered - self.waited
        await self._timeout.__aexit__(kind, error, trace)

    @property
    def left(self) -> float:
        """Return the seconds that are left; none if they are not counted, before the context and while it is paused."""
        due = self._timeout.when() if self._is_running else None
        return self.seconds if due is None else due - asyncio.get_running_loop().time()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock for the length of the context. Pauses may overlap, and their time counts once."""
        self._pauses += 1
        if self._pauses == 1:
            self._began = asyncio.get_running_loop().time()
            self._due = self._timeout.when() if self._is_running else None
            self._reschedule(None)
        try:
            yield
        finally:
            self._end_pause()

    def _end_pause(self) -> None:
        self._pauses -= 1
        if self._pauses:
            return
        pause = asyncio.get_running_loop().time() - self._began
        self.waited += pause
        if self._due is not None:
            self._reschedule(self._due + pause)

    def _reschedule(self, when: float | None) -> None:
        """Move the end, unless it has come: whoever pauses may outlast what it is paused in."""
        if self._is_running and not self._timeout.expired():
            self._timeout.reschedule(when)


class Gate:
    """Lets so many through at once; who has to wait before it does so off the clock."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def passed(self, deadline: Deadline) -> AsyncIterator[None]:
        """Hold a place for the length of the context; `deadline` is paused until there is one."""
        if self._places.locked():
            with deadline.paused():
                await self._places.acquire()
        else:
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()
