"""Runs that end before they are done: what was in flight, what was not started, and what they return."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer

import mcprun
from mcprun._util.run_stop import RunStop
from mcprun.errors import ErrorKind, RunError
from tests.support import virtual_time
from tests.support.cli import RAW, script, write_jsonl
from tests.support.forks import Forks

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def named(name: str, *tools: str) -> dict[str, Any]:
    """Make a query that calls some tools."""
    return script(*((tool, {}) for tool in tools)) | {"id": name}


def test_the_deadline_of_a_run(mcprun: Forks, tmp_path: Path) -> None:
    """It ends what is in flight with a whole transcript, and what was not started is skipped; resumed, all is done."""
    queries = [named("a", "ok"), named("b", "ok", "hang"), named("c", "ok"), named("d", "ok")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ["--concurrency", "1", "--run-timeout", "1"]
    done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path)
    assert done.code == 3
    assert done.verdicts == {"a": "passed", "b": "skipped", "c": "skipped", "d": "skipped"}
    assert {one["stop"] for one in done.transcripts[1:]} == {"timeout"}
    assert {one["error"]["kind"] for one in done.transcripts[1:]} == {"run_timeout"}
    in_flight, unstarted = done.transcripts[1:3]
    assert [call["tool"] for call in in_flight["calls"]] == ["ok"]
    assert re.fullmatch(
        r"the run ended before the query finished: the run did not finish within 1 s \(--run-timeout\);"
        r" waiting for hang, call 1 \(for \d\.\d s\)",
        in_flight["error"]["message"],
    )
    assert unstarted["error"]["message"] == "not started: the run did not finish within 1 s (--run-timeout)"
    assert (unstarted["messages"], unstarted["attempts"]) == ([], 0)
    assert (done.record["state"], done.record["error"]["kind"]) == ("interrupted", "run_timeout")
    assert done.stderr.count("Error: ") == 1
    assert "Incomplete: 3 of 4 queries did not finish." in done.stdout
    again = mcprun.run("batch", "--resume", "latest", "--run-timeout", "60", "--call-timeout", "0.1", cwd=tmp_path)
    assert again.verdicts == {"a": "passed", "b": "failed", "c": "passed", "d": "passed"}


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


def test_the_restarts_of_a_run(mcprun: Forks, tmp_path: Path) -> None:
    """When they are spent the run ends, says so, and how to go on; what was not tried is skipped."""
    queries = [named("a", "ok"), named("b", "die"), named("c", "die"), named("d", "ok")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = mcprun.run("batch", "p.jsonl", RAW, "--restarts", "3", "--concurrency", "1", cwd=tmp_path)
    assert done.code == 3
    assert done.verdicts == {"a": "passed", "b": "error", "c": "skipped", "d": "skipped"}
    assert done.record["error"]["kind"] == "server_died"
    assert [one["error"]["kind"] for one in done.transcripts[1:]] == ["server_died"] * 3
    assert "after 3 restarts, the limit set by --restarts" in done.stderr
    assert "mcprun batch --resume outputs/" in done.stderr
    again = mcprun.run("batch", "--resume", "latest", "--restarts", "9", cwd=tmp_path)
    assert again.verdicts == {"a": "passed", "b": "error", "c": "error", "d": "passed"}


def test_a_server_that_never_starts_leaves_nothing_to_go_on_with(mcprun: Forks, tmp_path: Path) -> None:
    """Every query is skipped, `latest` stays with the run before, and no resume is offered."""
    write_jsonl(tmp_path / "p.jsonl", named("a", "ok"))
    before = mcprun.run("batch", "p.jsonl", RAW, cwd=tmp_path)
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", "--", "exit", cwd=tmp_path)
    assert (done.code, done.stderr.count("Error: "), "resume" in done.stderr) == (3, 1, False)
    assert done.run == before.run or done.run == tmp_path / "run"
    assert (tmp_path / "outputs" / "latest").resolve() == before.run
    again = mcprun.run("batch", "--resume", "run", "--", "", cwd=tmp_path)
    assert (again.code, again.verdicts) == (0, {"a": "passed"})


def test_a_disk_that_is_full(mcprun: Forks, tmp_path: Path) -> None:
    """The run ends with one message, what was written stays whole, and a resume does the rest."""
    queries = [named(f"q{number}", "ok") for number in range(60)]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    whole = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))  # no file may grow above it, as on a full disk
    try:
        with Forks() as forks:
            done = forks.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.code == 3
    assert re.search(r"^Error: can't write .*run: File too large$", done.stderr, re.MULTILINE)
    assert "mcprun batch --resume run" in done.stderr
    assert "Traceback" not in done.stderr
    written = (tmp_path / "run" / "transcripts.jsonl").read_bytes()
    assert 10 < written.count(b"\n") < 60
    again = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (again.code, again.bytes) == (0, whole.bytes)


def test_an_output_folder_that_can_not_be_written(mcprun: Forks, tmp_path: Path) -> None:
    """Nothing is run, and one message says which folder it is."""
    write_jsonl(tmp_path / "p.jsonl", named("a", "ok"))
    (tmp_path / "file").touch()
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "file/run", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "Error: can't create the run's folder file/run: Not a directory\n")
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "/proc/self/fd", cwd=tmp_path)
    assert done.code == 2
    if os.geteuid():  # whoever is root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        done = mcprun.run("batch", "p.jsonl", RAW, "--out", "closed", cwd=tmp_path)
        assert (done.code, done.stderr) == (2, "Error: can't write closed/trace.jsonl: Permission denied\n")


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


def test_a_run_whose_queries_wait_for_nothing_keeps_its_deadline(mcprun: Forks, tmp_path: Path) -> None:
    """Signals come the same way: between two queries, however short they are."""
    query = {"prompt": "?", "repeat": 10_000, "script": [{"text": "Done."}]}
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{number}", **query} for number in range(100)))
    done = mcprun.run("batch", "p.jsonl", RAW, "--run-timeout", "2", "--quiet", "--out", "out", cwd=tmp_path)
    assert (done.code, "--run-timeout" in done.stderr) == (3, True)
