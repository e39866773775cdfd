"""Stopping a run: the first reason stays, and a cancelled caller takes the work with it."""

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


def named(name: str, *tools: str) -> dict[str, Any]:
    """Make a query that calls some tools."""
    return script(*((tool, {}) for tool in tools)) | {"id": name}


async def test_a_prompts_file_that_changes_takes_nothing_from_what_is_in_flight(tmp_path: Path) -> None:
    """No further query is started, and what is being done is done: its calls may have cost something."""
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
        for _ in range(5_000):  # turns of the loop that it shares with the run, which takes the next query meanwhile
            await asyncio.sleep(0)
        return "done all the same"

    padding = {"metadata": {"pad": "x" * 100_000}}  # what is read ahead is what it was
    later = [named(f"later-{number}", "change") | padding for number in range(9)]
    write_jsonl(file, named("long", "outlast"), named("short", "change"), *later)
    options = mcprun.Options(model="script", limits=mcprun.Limits(concurrency=2), out=str(tmp_path / "run"))
    run = await mcprun.run_batch(file, server, options)
    assert run.record.error
    assert run.record.error.kind is ErrorKind.PROMPTS
    (long,) = (transcript for transcript in run.transcripts() if transcript.id == "long")
    assert (long.verdict, len(long.calls), long.attempts) == ("passed", 1, 1)


# The value itself. -------------------------------------------------------------------------------------


REASON = RunError(ErrorKind.RUN_TIMEOUT, "too long")


async def forever() -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


async def test_work_that_is_ended_is_no_error() -> None:
    """`over` returns when `end` has cancelled the work, whether it came before or after."""
    for is_early in (True, False):
        run_stop = RunStop()
        work = asyncio.create_task(forever())
        if is_early:
            run_stop.cancel(REASON)
        else:
            asyncio.get_running_loop().call_soon(run_stop.cancel, REASON)
        await run_stop.supervise(work)
        assert (run_stop.reason, work.cancelled()) == (REASON, True)


async def test_the_first_reason_stays() -> None:
    """Whoever asks second may make it quicker, and is not what it is about."""
    run_stop = RunStop()
    run_stop.drain(REASON)
    run_stop.cancel(RunError(ErrorKind.CANCELLED, "interrupted"))
    assert run_stop.reason is REASON


async def test_a_caller_that_is_cancelled_takes_the_work_with_it() -> None:
    """The work is over when the cancellation goes on."""
    run_stop = RunStop()
    work = asyncio.create_task(forever())
    waiter = asyncio.create_task(run_stop.supervise(work))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert work.cancelled()
    assert run_stop.reason
    assert run_stop.reason.kind is ErrorKind.CANCELLED


async def test_what_ends_in_time_is_not_ended() -> None:
    """The timer goes with its context."""
    run_stop = RunStop()
    with run_stop.time_limit(0, REASON):
        pass
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert run_stop.reason is None


@pytest.mark.parametrize(("second", "expected"), [(2.0, (2.0, True)), (4.0, (3.0, False))])
def test_a_run_may_be_abandoned_for_a_while(second: float, expected: tuple[float, bool]) -> None:
    """What others work on is left to them when the patience is over, and not when the run is abandoned before."""

    async def run() -> tuple[float, bool]:
        loop, run_stop = asyncio.get_running_loop(), RunStop()
        run_stop.batch_grace_seconds = 3.0
        loop.call_later(second, run_stop.abandon_batches)
        is_abandoned = await run_stop.wait_for_abandonment()
        return loop.time(), is_abandoned

    assert virtual_time.run(run()) == expected
