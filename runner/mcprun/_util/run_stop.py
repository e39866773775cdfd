"""Stop a run early, with a reason.

Signals, the run's own deadline, spent budgets and errors that every query would hit all end a run this way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mcprun._util.tasks import retrieve, wait_uninterrupted
from mcprun.errors import ErrorKind, RunError


class RunStop:
    """Control the early end of a run. Use it from the run's own event loop.

    `reason` is the first one given; from then on, no further query is started. Queries in flight finish after `drain`,
    and are cancelled by `cancel`. Until the run `has_started` with queries there is nothing to wait for, and both
    cancel it. Work that is pending elsewhere, such as a Message Batch, stays pending unless the run is abandoned within
    `batch_grace_seconds` seconds after it has nothing else to do. `interrupted` holds the queries (id and repeat) whose
    errors were caused by the end of the run: `--resume` runs them again.
    """

    def __init__(self) -> None:
        self.reason: RunError | None = None
        self.has_started = False
        self.batch_grace_seconds = 0.0
        self.interrupted: set[tuple[str, int]] = set()
        self._watchers: list[Callable[[], None]] = []
        self._is_abandoned = asyncio.Event()
        self._is_cancelled = False
        self._cancelled_at: float | None = None
        self._work: asyncio.Task[None] | None = None

    def drain(self, reason: RunError) -> None:
        """Start no further query, and cancel the run if it is not busy yet."""
        self._set_reason(reason)
        if not self.has_started:
            self._cancel_work()

    def cancel(self, reason: RunError) -> None:
        """Start no further query, and cancel those in flight."""
        self._set_reason(reason)
        self._cancel_work()

    def mark_interrupted(self, query: str, repeat: int) -> None:
        """Mark a query that ended in an error as one that `--resume` runs again."""
        self.interrupted.add((query, repeat))

    def abandon_batches(self) -> None:
        """Request the cancellation of work that is pending elsewhere."""
        self._is_abandoned.set()

    async def wait_for_abandonment(self) -> bool:
        """Return whether `abandon_batches` was called, after waiting for it for up to `batch_grace_seconds` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.batch_grace_seconds):
                await self._is_abandoned.wait()
        return self._is_abandoned.is_set()

    def on_reason(self, callback: Callable[[], None]) -> None:
        """Register a function to call when the first reason is given."""
        self._watchers.append(callback)

    def _set_reason(self, reason: RunError) -> None:
        if not self.reason:
            self.reason = reason
            for callback in self._watchers:
                callback()

    def _cancel_work(self) -> None:
        if not self._is_cancelled:
            self._is_cancelled = True
            self._cancelled_at = _now()
            if self._work:
                self._work.cancel()

    @contextmanager
    def time_limit(self, timeout_s: float, reason: RunError) -> Iterator[None]:
        """End the run with `reason` if the context takes longer than `timeout_s`."""
        timer = asyncio.get_running_loop().call_later(timeout_s, self.cancel, reason)
        try:
            yield
        finally:
            timer.cancel()

    async def supervise(self, work: asyncio.Task[None]) -> None:
        """Wait for the task that `cancel` cancels. Raises its errors, but not its cancellation by `cancel`.

        If the caller is cancelled, the task is cancelled too and awaited, even if the caller is cancelled repeatedly.
        """
        self._work = work
        if self._is_cancelled:
            work.cancel()
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            self.cancel(RunError(ErrorKind.CANCELLED, "the run was cancelled"))
            await wait_uninterrupted({work})
            raise
        if not (work.cancelled() and self._is_cancelled):
            work.result()

    async def outlive(self, work: Coroutine[Any, Any, None], grace_s: float) -> None:
        """Await work that must be done also if the run is cancelled: all such work then has `grace_s` seconds together.

        Work that takes longer is cancelled. Raises the errors of the work, and once it has ended, the cancellation of
        the caller.
        """
        task, cancelled, is_over = asyncio.create_task(work), None, False
        while not task.done():
            left = None
            if self._cancelled_at is not None and not is_over:
                left = max(0.0, self._cancelled_at + grace_s - _now())
            try:
                await asyncio.wait({task}, timeout=left)  # also if no time is left: the work must see its cancellation
            except asyncio.CancelledError as error:
                cancelled = error
                self._cancelled_at = _now() if self._cancelled_at is None else self._cancelled_at
            else:
                is_over = task.cancel() or is_over
        if cancelled:
            retrieve(task)
            raise cancelled
        if not task.cancelled():
            task.result()


def _now() -> float:
    """Return the time of the running event loop or, if a run ends before there is one, of its clock."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
