"""Server processes: environment, and a prestarted process that is used once or ended."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from mcprun.client.server_log import ServerLog
from mcprun.client.target import StdioTarget
from mcprun.client.transports.process import PrestartedServer, shut_down, start
from mcprun.runs.redaction import Redactor
from tests.support.cli import RAW, run_mcprun, script, write_jsonl

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def log_in(folder: Path) -> ServerLog:
    """Make a log of servers."""
    return ServerLog(folder / "server.log", Redactor(), 1000)


async def test_a_server_does_not_inherit_what_python_ignores(tmp_path: Path) -> None:
    """Python ignores SIGPIPE and SIGXFSZ; a shell that inherits this never ends `… | head -1`."""
    with log_in(tmp_path).stderr() as stderr:
        process = await start(StdioTarget("sh", "sh", ("-c", "grep SigIgn /proc/self/status")), stderr.writer)
        assert process.stdout
        line = await process.stdout.readline()
        await shut_down(process)
    ignored = int(line.split()[1], 16)
    assert [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> (number - 1) & 1] == []


async def test_a_server_that_nobody_takes_is_ended(tmp_path: Path) -> None:
    """Whatever it has started goes with it, which the fixture of every test looks for; what it said is in the log."""
    async with PrestartedServer(
        StdioTarget("sh", "sh", ("-c", "setsid sleep 600 & echo here >&2; cat")), log_in(tmp_path)
    ) as prestarted:
        assert prestarted.is_there
    assert not prestarted.is_there
    assert (tmp_path / "server.log").read_text().startswith("here\n")


async def test_a_server_is_ended_by_who_is_cancelled_meanwhile(tmp_path: Path) -> None:
    """Though it takes its time to go, and however often that comes."""
    with log_in(tmp_path).stderr() as stderr:
        process = await start(StdioTarget("sh", "sh", ("-c", "trap '' TERM; sleep 600")), stderr.writer)
        run_stop = asyncio.create_task(shut_down(process))
        for _ in range(3):
            await asyncio.sleep(0)
            run_stop.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run_stop
        assert process.returncode is not None


async def test_a_server_is_taken_once(tmp_path: Path) -> None:
    """Whoever has it ends it, and its stderr; the others get none."""
    with ExitStack() as stack:
        async with PrestartedServer(StdioTarget("cat", "cat"), log_in(tmp_path)) as prestarted:
            stack.push(prestarted.stderr)
            process = prestarted.take()
            assert prestarted.take() is None
        assert process
        assert process.returncode is None
        await shut_down(process)


def test_a_run_starts_its_server_once(tmp_path: Path) -> None:
    """The one that was started ahead is the one that is called, and its first words are the log's first."""
    (tmp_path / "noted.py").write_text(
        "import runpy, sys\nprint('started', file=sys.stderr, flush=True)\n"
        f"sys.argv = ['raw']\nrunpy.run_path({str(RAW)!r})\n"
    )
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("ok", {})) | {"id": "a"})
    done = run_mcprun("batch", prompts, "noted.py", cwd=tmp_path)
    assert done.code == 0
    assert (done.run / "server.log").read_text().count("started\n") == 1
    (start,) = (event for event in done.trace if event["event"] == "server_start")
    assert start["log_offset"] == 0
