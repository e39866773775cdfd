"""Deadlines that pause while a query can only wait: for a rate limit, a batch or a free slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self


class Deadline:
    """Limit the context to `limit_s` seconds, not counting the time spent in `pause`.

    Progress restarts the limit, up to `max_limit_s` seconds in all. The context raises `TimeoutError` when the time is
    up. `waited` holds the seconds that were not counted, excluding a pause that is still in progress.
    """

    def __init__(self, limit_s: float, max_limit_s: float | None = None) -> None:
        self.limit_s = limit_s
        self.max_limit_s = limit_s if max_limit_s is None else max(limit_s, max_limit_s)
        self.waited = self._worked = 0.0
        self._progress = ""
        self._is_last = False
        self._pauses = 0
        self._began = self._entered = 0.0
        self._due: float | None = None
        self._is_running = False
        self._timeout: asyncio.Timeout

    async def __aenter__(self) -> Self:
        self._timeout = asyncio.timeout(self.limit_s)
        await self._timeout.__aenter__()
        self._entered = asyncio.get_running_loop().time()
        self._is_running = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worked = self.elapsed
        self._is_running = False
        await self._timeout.__aexit__(kind, error, trace)

    @property
    def elapsed(self) -> float:
        """The seconds that were counted, until now or until the context ended."""
        if not self._is_running:
            return self._worked
        now = self._began if self._pauses else asyncio.get_running_loop().time()
        return now - self._entered - self.waited

    @property
    def remaining(self) -> float:
        """The seconds that are left: all of them outside the context and while it is paused."""
        due = self._timeout.when() if self._is_running else None
        return self.limit_s if due is None else due - asyncio.get_running_loop().time()

    def extend(self, progress: float, total: float | None) -> None:
        """Restart the limit after `progress` of `total` (None if unknown) was reported."""
        self._progress = f"{progress:g}" if total is None else f"{progress:g} of {total:g}"
        now = self._began if self._pauses else asyncio.get_running_loop().time()
        last = self._entered + self.waited + self.max_limit_s
        self._is_last = last <= now + self.limit_s
        due = min(now + self.limit_s, last)
        if self._pauses:
            self._due = due
        else:
            self._reschedule(due)

    @property
    def reached(self) -> str:
        """The limit that ended the context, for a message: `2 s`, with the last progress if there was any."""
        if not self._progress:
            return f"{self.limit_s:g} s"
        if self._is_last:
            return f"{self.max_limit_s:g} s (`--max-call-timeout`; last progress: {self._progress})"
        return f"{self.limit_s:g} s without progress (last: {self._progress})"

    @property
    def limit(self) -> str:
        """The limit that ended the context, such as `within 2 s`, with the last progress if there was any."""
        if not self._progress:
            return f"within {self.limit_s:g} s"
        if self._is_last:
            bound, since = f"within {self.max_limit_s:g} s in all (--max-call-timeout)", f"less than {self.limit_s:g} s"
        else:
            bound, since = f"within {self.limit_s:g} s", f"{self.limit_s:g} s"
        return f"{bound}; last progress {since} earlier ({self._progress})"

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Stop the clock for the duration of the context. Overlapping pauses count once."""
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
        """Move the deadline unless it has expired: a pause may outlast the context that it pauses."""
        if self._is_running and not self._timeout.expired():
            self._timeout.reschedule(when)


class Gate:
    """Let at most `limit` callers through at once. Waiting for a slot pauses the caller's deadline."""

    def __init__(self, limit: int) -> None:
        self._semaphore = asyncio.Semaphore(limit)

    @asynccontextmanager
    async def hold(self, deadline: Deadline) -> AsyncIterator[None]:
        """Hold a slot for the duration of the context. `deadline` is paused until one is free."""
        if self._semaphore.locked():
            with deadline.pause():
                await self._semaphore.acquire()
        else:
            await self._semaphore.acquire()
        try:
            yield
        finally:
            self._semaphore.release()
