"""Stopping a run: the first reason is kept, and cancelling the caller cancels the work."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer

import mcprun
from mcprun._util.run_stop import RunStop
from mcprun.errors import ErrorKind, RunError
from tests.support import virtual_time
from tests.support.cli import script, write_jsonl

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def query_with_calls(name: str, *tools: str) -> dict[str, Any]:
    """Return a query that calls the given tools."""
    return script(*((tool, {}) for tool in tools)) | {"id": name}


async def test_changed_prompts_file_does_not_stop_queries_in_flight(tmp_path: Path) -> None:
    """No further query starts. Queries in flight complete, since their calls may have had a cost."""
    file = tmp_path / "p.jsonl"
    server = MCPServer("slow")
    changed = asyncio.Event()

    @server.tool()
    def change() -> None:
        file.write_text(file.read_text(encoding="utf-8").replace("Do it.", "Do more."), encoding="utf-8")
        changed.set()

    @server.tool()
    async def outlast() -> str:
        await changed.wait()
        for _ in range(5_000):  # the run shares the event loop and reads the next query meanwhile
            await asyncio.sleep(0)
        return "done all the same"

    padding = {
        "metadata": {"pad": "x" * 100_000}
    }  # exceeds the read-ahead buffer, so that later lines are read after the change
    later = [query_with_calls(f"later-{number}", "change") | padding for number in range(9)]
    write_jsonl(file, query_with_calls("long", "outlast"), query_with_calls("short", "change"), *later)
    options = mcprun.Options(model="script", limits=mcprun.Limits(concurrency=2), out=str(tmp_path / "run"))
    run = await mcprun.run_batch(file, server, options)
    assert run.record.error
    assert run.record.error.kind is ErrorKind.PROMPTS
    (long,) = (transcript for transcript in run.transcripts() if transcript.id == "long")
    assert (long.verdict, len(long.calls), long.attempts) == ("passed", 1, 1)


REASON = RunError(ErrorKind.RUN_TIMEOUT, "too long")


async def wait_forever() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


async def test_supervise_returns_after_cancel() -> None:
    """`supervise` returns when `cancel` has cancelled the work, whether it was called before or after."""
    for is_early in (True, False):
        run_stop = RunStop()
        work = asyncio.create_task(wait_forever())
        if is_early:
            run_stop.cancel(REASON)
        else:
            asyncio.get_running_loop().call_soon(run_stop.cancel, REASON)
        await run_stop.supervise(work)
        assert (run_stop.reason, work.cancelled()) == (REASON, True)


async def test_first_reason_is_kept() -> None:
    """A later reason may stop the run faster, but does not replace the first."""
    run_stop = RunStop()
    run_stop.drain(REASON)
    run_stop.cancel(RunError(ErrorKind.CANCELLED, "interrupted"))
    assert run_stop.reason is REASON


async def test_cancelling_the_caller_cancels_the_work() -> None:
    """The work has ended when the caller raises `CancelledError`."""
    run_stop = RunStop()
    work = asyncio.create_task(wait_forever())
    waiter = asyncio.create_task(run_stop.supervise(work))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert work.cancelled()
    assert run_stop.reason
    assert run_stop.reason.kind is ErrorKind.CANCELLED


async def test_time_limit_ends_with_its_context() -> None:
    """The timer has no effect after its context."""
    run_stop = RunStop()
    with run_stop.time_limit(0, REASON):
        pass
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert run_stop.reason is None


@pytest.mark.parametrize(("abandoned_at", "expected"), [(2.0, (2.0, True)), (4.0, (3.0, False))])
def test_batches_can_be_abandoned_within_the_grace_period(abandoned_at: float, expected: tuple[float, bool]) -> None:
    """The wait returns whether the batches were abandoned before the grace period ended."""

    async def run() -> tuple[float, bool]:
        loop, run_stop = asyncio.get_running_loop(), RunStop()
        run_stop.batch_grace_seconds = 3.0
        loop.call_later(abandoned_at, run_stop.abandon_batches)
        is_abandoned = await run_stop.wait_for_abandonment()
        return loop.time(), is_abandoned

    assert virtual_time.run(run()) == expected


@pytest.mark.parametrize(
    ("seconds", "cancelled_at", "expected"),
    [
        (9.0, None, (9.0, "done", "returned")),
        (3.0, 1.0, (3.0, "done", "cancelled")),
        (9.0, 1.0, (6.0, "cut short", "cancelled")),
    ],
)
def test_work_outlives_the_cancellation_for_a_while(
    seconds: float, cancelled_at: float | None, expected: tuple[float, str, str]
) -> None:
    """Work continues after the cancellation, at most for the grace period, and then its caller is cancelled."""
    events: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(seconds)
            events.append("done")
        except asyncio.CancelledError:
            events.append("cut short")
            raise

    async def run() -> float:
        loop, run_stop = asyncio.get_running_loop(), RunStop()

        async def query() -> None:
            try:
                await run_stop.outlive(work(), 5.0)
                events.append("returned")
            except asyncio.CancelledError:
                events.append("cancelled")
                raise

        if cancelled_at is not None:
            loop.call_later(cancelled_at, run_stop.cancel, REASON)
        await run_stop.supervise(asyncio.create_task(query()))
        return loop.time()

    assert (virtual_time.run(run()), *events) == expected


def test_all_work_shares_the_grace_period() -> None:
    """Work that begins after the cancellation has only the rest of the time."""

    async def run() -> float:
        loop, run_stop = asyncio.get_running_loop(), RunStop()
        run_stop.cancel(REASON)
        await asyncio.sleep(4.0)
        await run_stop.outlive(wait_forever(), 5.0)
        return loop.time()

    assert virtual_time.run(run()) == 5.0


@pytest.mark.parametrize("is_early", [True, False])
async def test_work_that_outlives_a_cancelled_run_is_bounded(is_early: bool) -> None:
    """Once its time is over, the work is cancelled, but not before it has begun, so that it can report that."""
    run_stop, seen = RunStop(), list[str]()

    async def clean_up() -> None:
        try:
            await wait_forever()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    if is_early:
        run_stop.cancel(REASON)
    waiter = asyncio.create_task(run_stop.outlive(clean_up(), 0.0))
    await asyncio.sleep(0)
    if not is_early:
        run_stop.cancel(REASON)
        waiter.cancel()
    await asyncio.wait({waiter})
    assert (seen, waiter.cancelled()) == (["cancelled"], not is_early)


async def test_work_outlives_every_cancellation_of_its_caller() -> None:
    """The cancellation is raised once the work has ended, and the work is not cancelled within its time."""
    run_stop, is_done, ended = RunStop(), asyncio.Event(), list[bool]()

    async def clean_up() -> None:
        ended.append(await is_done.wait())

    waiter = asyncio.create_task(run_stop.outlive(clean_up(), 1000.0))
    for _ in range(3):
        await asyncio.sleep(0)
        waiter.cancel()
    await asyncio.sleep(0)
    is_done.set()
    await asyncio.wait({waiter})
    assert (ended, waiter.cancelled()) == ([True], True)
