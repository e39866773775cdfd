"""Concurrent tasks: all complete, or the first failure cancels the others."""

from __future__ import annotations

import asyncio
import gc

import pytest

from mcprun._util.tasks import background_task, gather_or_cancel, wait_uninterrupted


class RecordedWork:
    """Coroutines that record how they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def wait(self, name: str, event: asyncio.Event) -> None:
        """Wait for an event."""
        try:
            await event.wait()
            self.ended.append(name)
        except asyncio.CancelledError:
            self.ended.append(f"{name} cancelled")
            raise

    async def fail(self, error: Exception) -> None:
        """Raise an error."""
        raise error

    async def fail_after(self, event: asyncio.Event) -> None:
        """Raise an error after an event or a cancellation."""
        try:
            await event.wait()
        finally:
            raise KeyError("after")


async def test_gather_waits_for_all_tasks() -> None:
    """`gather_or_cancel` returns only after every task has completed."""
    work, event = RecordedWork(), asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    await gather_or_cancel([work.wait("a", event), work.wait("b", event)])
    assert work.ended == ["a", "b"]
    await gather_or_cancel([])


async def test_first_failure_cancels_the_other_tasks() -> None:
    """The other tasks have ended when the error is raised, and the waiting task is not marked as cancelled."""
    work, task = RecordedWork(), asyncio.current_task()
    assert task
    for _ in range(3):
        with pytest.raises(ValueError, match="one"):
            await gather_or_cancel(
                [work.wait("a", asyncio.Event()), work.fail(ValueError("one")), work.fail(KeyError("two"))]
            )
        assert task.cancelling() == 0
    assert work.ended == ["a cancelled"] * 3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()


async def test_cancelling_the_caller_cancels_all_tasks() -> None:
    """No task is left running."""
    work = RecordedWork()
    waiter = asyncio.create_task(gather_or_cancel([work.wait(name, asyncio.Event()) for name in "ab"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert work.ended == ["a cancelled", "b cancelled"]


async def test_repeated_cancellation_waits_for_cleanup() -> None:
    """Tasks with a slow cleanup end before the caller returns, however often it is cancelled."""
    ended: list[str] = []

    async def end_slowly(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(9):
                await asyncio.sleep(0)
            ended.append(name)

    async def run_in_background() -> None:
        async with background_task(end_slowly("c")):
            await asyncio.Event().wait()

    waiters = [
        asyncio.create_task(gather_or_cancel([end_slowly("a"), end_slowly("b")])),
        asyncio.create_task(run_in_background()),
    ]
    for _ in range(5):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for waiter in waiters:
            waiter.cancel()
    for waiter in waiters:
        with pytest.raises(asyncio.CancelledError):
            await waiter
    assert sorted(ended) == ["a", "b", "c"]


async def test_background_task_ends_with_its_context() -> None:
    """An unfinished task is cancelled. Its failure is not raised in the context."""
    work, event = RecordedWork(), asyncio.Event()
    async with background_task(work.wait("a", event)):
        event.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert work.ended == ["a"]
    async with background_task(work.wait("b", asyncio.Event())):
        await asyncio.sleep(0)
    async with background_task(work.fail(ValueError("one"))):
        await asyncio.sleep(0)
    assert work.ended == ["a", "b cancelled"]


async def test_suppressed_errors_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio logs each unretrieved exception, such as that of a second call to a server that died."""
    work, event = RecordedWork(), asyncio.Event()

    async def fail_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("late")

    with pytest.raises(ValueError, match="one"):
        await gather_or_cancel([work.fail(ValueError("one")), work.fail(KeyError("two")), fail_when_cancelled()])
    waiter = asyncio.create_task(gather_or_cancel([work.fail_after(event), work.wait("a", asyncio.Event())]))
    await asyncio.sleep(0)
    event.set()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    async with background_task(work.fail(ValueError("besides"))):
        await asyncio.sleep(0)
    await wait_uninterrupted([asyncio.create_task(work.fail(ValueError("outlasted")))])
    del waiter
    gc.collect()
    assert caplog.messages == []
