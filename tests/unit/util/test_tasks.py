"""Concurrent tasks: all complete, or the first failure and nothing left behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from mcprun._util.tasks import background_task, gather_or_cancel, wait_uninterrupted


class Work:
    """Things to do that note how they ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def waits(self, name: str, event: asyncio.Event) -> None:
        """Wait for an event."""
        try:
            await event.wait()
            self.ended.append(name)
        except asyncio.CancelledError:
            self.ended.append(f"{name} cancelled")
            raise

    async def fails(self, error: Exception) -> None:
        """Fail at once."""
        raise error

    async def fails_after(self, event: asyncio.Event) -> None:
        """Fail when an event is set, also if cancelled meanwhile."""
        try:
            await event.wait()
        finally:
            raise KeyError("after")


async def test_all_are_done() -> None:
    """Nothing returns before everything has."""
    work, event = Work(), asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    await gather_or_cancel([work.waits("a", event), work.waits("b", event)])
    assert work.ended == ["a", "b"]
    await gather_or_cancel([])


async def test_the_first_failure_ends_the_others() -> None:
    """They are cancelled and waited for, and the task that waits bears no mark of it."""
    work, task = Work(), asyncio.current_task()
    assert task
    for _ in range(3):
        with pytest.raises(ValueError, match="one"):
            await gather_or_cancel(
                [work.waits("a", asyncio.Event()), work.fails(ValueError("one")), work.fails(KeyError("two"))]
            )
        assert task.cancelling() == 0
    assert work.ended == ["a cancelled"] * 3
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()


async def test_a_cancellation_takes_all_with_it() -> None:
    """Whoever is cancelled while waiting leaves nothing that runs on."""
    work = Work()
    waiter = asyncio.create_task(gather_or_cancel([work.waits(name, asyncio.Event()) for name in "ab"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert work.ended == ["a cancelled", "b cancelled"]


async def test_further_cancellations_wait_as_well() -> None:
    """However often it comes, nobody returns before what takes its time to end has ended."""
    ended: list[str] = []

    async def ends_slowly(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(9):
                await asyncio.sleep(0)
            ended.append(name)

    async def besides() -> None:
        async with background_task(ends_slowly("c")):
            await asyncio.Event().wait()

    waiters = [
        asyncio.create_task(gather_or_cancel([ends_slowly("a"), ends_slowly("b")])),
        asyncio.create_task(besides()),
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


async def test_what_is_done_meanwhile_ends_with_the_context() -> None:
    """It goes on besides, is cancelled when it is not done, and its failure is nobody's here."""
    work, event = Work(), asyncio.Event()
    async with background_task(work.waits("a", event)):
        event.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert work.ended == ["a"]
    async with background_task(work.waits("b", asyncio.Event())):
        await asyncio.sleep(0)
    async with background_task(work.fails(ValueError("one"))):
        await asyncio.sleep(0)
    assert work.ended == ["a", "b cancelled"]


async def test_errors_that_are_not_raised_are_not_logged_either(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio logs each error that nobody retrieves, as of the second of two calls to a server that died."""
    work, ends = Work(), asyncio.Event()

    async def fails_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("late")

    with pytest.raises(ValueError, match="one"):
        await gather_or_cancel([work.fails(ValueError("one")), work.fails(KeyError("two")), fails_when_cancelled()])
    waiter = asyncio.create_task(gather_or_cancel([work.fails_after(ends), work.waits("a", asyncio.Event())]))
    await asyncio.sleep(0)
    ends.set()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    async with background_task(work.fails(ValueError("besides"))):
        await asyncio.sleep(0)
    await wait_uninterrupted([asyncio.create_task(work.fails(ValueError("outlasted")))])
    del waiter
    gc.collect()
    assert caplog.messages == []
