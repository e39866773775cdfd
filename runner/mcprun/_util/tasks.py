"""Run coroutines concurrently, and cancel and await them reliably."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines concurrently. If one fails, or the caller is cancelled, cancel the others and wait for them.

    Raises the first error in the order of `work`. Unlike `asyncio.TaskGroup` it never cancels the waiting task:
    before Python 3.11.4 that leaves a cancellation request on it, after which no `asyncio.timeout` raises
    `TimeoutError`.
    """
    work = list(work)
    if len(work) == 1:  # most turns have one call, which needs no other task
        await work[0]
        return
    tasks = [asyncio.create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(retrieve)  # several may fail, but only one error is raised
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        if left := [task for task in tasks if not task.done()]:
            for task in left:
                task.cancel()
            if cancelled := await wait_uninterrupted(left):
                raise cancelled
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


@asynccontextmanager
async def background_task(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a coroutine for the duration of the context, then cancel it. Its errors are not raised."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        cancelled = await wait_uninterrupted({task})
        if cancelled:
            raise cancelled


async def wait_uninterrupted(
    tasks: Collection[asyncio.Future[Any]], timeout_s: float | None = None
) -> asyncio.CancelledError | None:
    """Wait for tasks to finish, for at most `timeout_s`, however often the caller is cancelled.

    Return the last cancellation, which the caller must raise, or None. The errors of the tasks are not raised.
    """
    for task in tasks:
        task.add_done_callback(retrieve)
    cancelled = None
    loop = asyncio.get_running_loop()
    until = None if timeout_s is None else loop.time() + timeout_s
    while left := [task for task in tasks if not task.done()]:
        rest = None if until is None else until - loop.time()
        if rest is not None and rest <= 0:
            break
        try:
            await asyncio.wait(left, timeout=rest)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


def retrieve(future: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a future that may never be awaited, so that asyncio does not log it."""
    if not future.cancelled():
        future.exception()
