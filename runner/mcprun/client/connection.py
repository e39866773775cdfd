"""A connection that a task of its own holds open, because the SDK's clients must be left where they were entered.

The holder of an HTTP client is also *cancelled* when the connection drops: it must be nobody who has other things
to do. The tasks that run queries only send requests through what it opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from mcprun._util.tasks import retrieve, wait_uninterrupted

T = TypeVar("T")

_CLOSE_SECONDS = 10.0
"""Ending a connection: more than the SDK's own bounds for a process add up to (7 s); over HTTP it has none."""

_CANCEL_SECONDS = 2.0
"""What is left to a connection that does not end by itself."""


class Connection:
    """One connection: opened once, and over when it is closed or when the other side is gone.

    `is_down` tells that it ended without our doing, and `reason` why, if the transport knows. `over` is called once,
    when all of it has been cleaned away.
    """

    def __init__(self, over: Callable[[Connection], None]) -> None:
        self.is_down = False
        self.reason = ""
        self._is_closing = False
        self._ended = asyncio.Event()
        self._over = over
        self._task: asyncio.Task[None] | None = None

    async def open(self, enter: Callable[[AsyncExitStack], Awaitable[T]]) -> T:
        """Have a new task enter a connection, with `enter`; give what that gives.

        Raises what `enter` raises, out of the groups that the SDK wraps it in; `ConnectionError` when the
        connection is dropped before it stands. When this is cancelled, so is the task, and waited for.
        """
        ready: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def hold() -> None:
            try:
                async with AsyncExitStack() as stack:
                    ready.set_result(await enter(stack))
                    try:
                        await self._ended.wait()
                    finally:
                        self.ended()  # before the SDK wakes the tasks whose requests it drops
            finally:
                self.ended()
                if ready.done():
                    self._over(self)

        task = self._task = asyncio.create_task(hold(), name="link")
        task.add_done_callback(retrieve)
        either: tuple[asyncio.Future[Any], ...] = (task, ready)
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await wait_uninterrupted({task}, _CLOSE_SECONDS)
            raise
        if ready.done():
            return ready.result()
        raise ConnectionError("the connection was dropped") if task.cancelled() else _innermost(task.exception())

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended, or is being closed."""
        return self._ended.is_set()

    def ended(self, reason: str = "") -> None:
        """Mark the connection as lost, unless mcprun is closing it, and let its task clean up.

        The first `reason` that the transport knows is kept.
        """
        if not self._is_closing:
            self.is_down = True
            self.reason = self.reason or reason
        self._ended.set()

    async def close(self) -> None:
        """End the connection, and wait until it is."""
        self._is_closing = True
        self._ended.set()
        await self.gone()

    async def gone(self) -> None:
        """Wait until the connection has ended, and its process, if it had one, as well.

        It is waited for even when this is cancelled, since a process whose shutdown is cut short may stay; but for
        so long only. How a server misbehaves while it goes is nobody's concern any more.
        """
        if self._task is None:
            return
        cancelled = await wait_uninterrupted({self._task}, _CLOSE_SECONDS)
        if not self._task.done():
            self._task.cancel()
            cancelled = await wait_uninterrupted({self._task}, _CANCEL_SECONDS) or cancelled
        if cancelled:
            raise cancelled


def _innermost(error: BaseException | None) -> BaseException:
    """Take the first cause out of nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        causes = [cause for cause in error.exceptions if not isinstance(cause, asyncio.CancelledError)]
        error = (causes or error.exceptions)[0]
    return error or ConnectionError("the connection ended")
