"""The early end of a run: whoever asks for it says why, and the run looks at it while it goes on.

Signals, the run's own deadline, spent budgets and errors that every query would meet all end a run this way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from mcprun._util.tasks import wait_uninterrupted
from mcprun.errors import ErrorKind, RunError


class RunStop:
    """How a run ends before it is done. Use it from the run's own event loop.

    `reason` is the first that was given: once there is one, no further query is started. Those in flight end by
    themselves after `stop`, and are cancelled by `end`. Before the run `is_busy` with queries there is nothing to wait
    for, and both are the same. What somebody else works on is left to them, if the run is not abandoned within
    `patience`, seconds from when it has nothing else to do. `again` holds the queries (id and repeat) whose errors
    belong to the end of the run: `--resume` runs them again.
    """

    def __init__(self) -> None:
        self.reason: RunError | None = None
        self.is_busy = False
        self.patience = 0.0
        self.again: set[tuple[str, int]] = set()
        self._watchers: list[Callable[[], None]] = []
        self._is_abandoned = asyncio.Event()
        self._is_cut = False
        self._work: asyncio.Task[None] | None = None

    def stop(self, reason: RunError) -> None:
        """Start nothing more."""
        self._give(reason)
        if not self.is_busy:
            self._cut()

    def end(self, reason: RunError) -> None:
        """Start nothing more, and cancel what is in flight."""
        self._give(reason)
        self._cut()

    def run_again(self, query: str, repeat: int) -> None:
        """Mark a query that ended in an error as one that `--resume` runs again."""
        self.again.add((query, repeat))

    def abandon(self) -> None:
        """Have nothing left to others."""
        self._is_abandoned.set()

    async def abandoned(self) -> bool:
        """Tell whether nothing is left to others, when that is certain."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                await self._is_abandoned.wait()
        return self._is_abandoned.is_set()

    def watch(self, called: Callable[[], None]) -> None:
        """Call a function when the first reason is given."""
        self._watchers.append(called)

    def _give(self, reason: RunError) -> None:
        if not self.reason:
            self.reason = reason
            for called in self._watchers:
                called()

    def _cut(self) -> None:
        if not self._is_cut:
            self._is_cut = True
            if self._work:
                self._work.cancel()

    @contextmanager
    def within(self, seconds: float, reason: RunError) -> Iterator[None]:
        """End the run when the context takes longer than so many seconds."""
        timer = asyncio.get_running_loop().call_later(seconds, self.end, reason)
        try:
            yield
        finally:
            timer.cancel()

    async def over(self, work: asyncio.Task[None]) -> None:
        """Wait for the work that `end` cancels; being ended is no error of it.

        When whoever waits here is cancelled, the work is as well, and waited for: also when that comes again meanwhile.
        """
        self._work = work
        if self._is_cut:
            work.cancel()
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            self.end(RunError(ErrorKind.CANCELLED, "the run was cancelled"))
            await wait_uninterrupted({work})
            raise
        if not (work.cancelled() and self._is_cut):
            work.result()
