"""Several things at the same time, for as long as none of them fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of it at the same time. When one fails, or the waiting is cancelled, end the others and wait for them.

    Raises what failed first in the order of `work`. Unlike `asyncio.TaskGroup` it never cancels the task that waits:
    before Python 3.11.4 that leaves a mark on it, with which no later `asyncio.timeout` raises `TimeoutError`.
    """
    work = list(work)
    if len(work) == 1:  # as most turns have it: no other task is needed
        await work[0]
        return
    tasks = [asyncio.create_task(one) for one in work]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        if left := [task for task in tasks if not task.done()]:
            for task in left:
                task.cancel()
            await asyncio.wait(left)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


@asynccontextmanager
async def meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something besides the context; it is ended with it. Whoever needs what it brings asks for it again."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it is not lost: whoever asks again meets it
