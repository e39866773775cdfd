"""Hold a connection open in its own task, because the SDK's clients must be exited in the task that entered them.

The SDK also *cancels* the task that holds an HTTP client when the connection drops, so that task must do nothing else.
The tasks that run queries only send requests through the client that it opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from mcprun._util.tasks import retrieve, wait_uninterrupted

T = TypeVar("T")

_CLOSE_SECONDS = 10.0
"""Time limit for closing a connection. The SDK's own limits add up to 7 s for a process; it has none for HTTP."""

_CANCEL_SECONDS = 2.0
"""Time limit for a connection to end after its task was cancelled."""


class Connection:
    """One connection, which is opened once and ends when it is closed or lost.

    `is_down` is set if the connection was lost rather than closed by mcprun, and `reason` is the cause, if the
    transport reports one. `on_close` is called once, after cleanup.
    """

    def __init__(self, on_close: Callable[[Connection], None]) -> None:
        self.is_down = False
        self.reason = ""
        self._is_closing = False
        self._closed = asyncio.Event()
        self._on_close = on_close
        self._task: asyncio.Task[None] | None = None

    async def open(self, enter: Callable[[AsyncExitStack], Awaitable[T]]) -> T:
        """Enter a connection with `enter` in a new task, and return the result of `enter`.

        Raises what `enter` raises, unwrapped from the exception groups of the SDK, and `ConnectionError` if the
        connection is dropped before it is established. If the caller is cancelled, the task is cancelled and awaited.
        """
        ready: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def hold() -> None:
            try:
                async with AsyncExitStack() as stack:
                    ready.set_result(await enter(stack))
                    try:
                        await self._closed.wait()
                    finally:
                        self.mark_closed()  # before the SDK wakes the tasks whose requests it drops
            finally:
                self.mark_closed()
                if ready.done():
                    self._on_close(self)

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
    def is_closed(self) -> bool:
        """Whether the connection has ended, or is being closed."""
        return self._closed.is_set()

    def mark_closed(self, reason: str = "") -> None:
        """Mark the connection as lost, unless mcprun is closing it, and let its task clean up.

        Only the first `reason` is kept.
        """
        if not self._is_closing:
            self.is_down = True
            self.reason = self.reason or reason
        self._closed.set()

    async def close(self) -> None:
        """Close the connection, and wait until it has ended."""
        self._is_closing = True
        self._closed.set()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection and its process, if any, have ended.

        The wait goes on if the caller is cancelled, because a process whose shutdown is cut short may survive. It is
        limited to 12 s in all. Errors that a server causes while it shuts down are ignored.
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
    """Return the first cause in nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        causes = [cause for cause in error.exceptions if not isinstance(cause, asyncio.CancelledError)]
        error = (causes or error.exceptions)[0]
    return error or ConnectionError("the connection ended")
