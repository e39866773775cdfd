"""Asking a run to end before it is done: gently, or at once. Who asks, and by what signal, is not known here."""

from __future__ import annotations

import asyncio


class Interrupt:
    """What a run looks at while it goes on. Ask it from the run's own event loop.

    `stopping`: no further query is started, those in flight end by themselves. `ending`: those are cancelled too.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.ending = False
        self._work: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Start nothing more."""
        self.stopping = True

    def end(self) -> None:
        """Start nothing more, and cancel what is in flight."""
        self.stopping = self.ending = True
        if self._work:
            self._work.cancel()

    async def over(self, work: asyncio.Task[None]) -> None:
        """Wait for the work that `end` cancels; being ended is no error of it."""
        self._work = work
        try:
            await work
        except asyncio.CancelledError:
            if not self.ending:  # somebody else cancelled whoever waits here: the work must not go on without them
                work.cancel()
                await asyncio.wait({work})
                raise
