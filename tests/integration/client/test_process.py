"""Server processes: the signals they inherit, and a prestarted process that is used once or shut down."""

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


def open_log(folder: Path) -> ServerLog:
    """Return a server log in the folder."""
    return ServerLog(folder / "server.log", Redactor(), 1000)


async def test_server_does_not_inherit_ignored_signals(tmp_path: Path) -> None:
    """Python ignores SIGPIPE and SIGXFSZ. A shell that inherits this never ends `… | head -1`."""
    with open_log(tmp_path).stderr() as stderr:
        process = await start(StdioTarget("sh", "sh", ("-c", "grep SigIgn /proc/self/status")), stderr.writer)
        assert process.stdout
        line = await process.stdout.readline()
        await shut_down(process)
    ignored = int(line.split()[1], 16)
    assert [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> (number - 1) & 1] == []


async def test_unused_prestarted_server_is_shut_down(tmp_path: Path) -> None:
    """The processes that it started end too, which a fixture of every test checks. Its stderr is in the log."""
    async with PrestartedServer(
        StdioTarget("sh", "sh", ("-c", "setsid sleep 600 & echo here >&2; cat")), open_log(tmp_path)
    ) as prestarted:
        assert prestarted.is_there
    assert not prestarted.is_there
    assert (tmp_path / "server.log").read_text().startswith("here\n")


async def test_cancelled_shutdown_still_ends_the_server(tmp_path: Path) -> None:
    """A server that ignores SIGTERM is ended even if the task that shuts it down is cancelled several times."""
    with open_log(tmp_path).stderr() as stderr:
        process = await start(StdioTarget("sh", "sh", ("-c", "trap '' TERM; sleep 600")), stderr.writer)
        shutdown = asyncio.create_task(shut_down(process))
        for _ in range(3):
            await asyncio.sleep(0)
            shutdown.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shutdown
        assert process.returncode is not None


async def test_prestarted_server_is_used_once(tmp_path: Path) -> None:
    """The caller that takes the process owns it and its stderr. Later callers get None."""
    with ExitStack() as stack:
        async with PrestartedServer(StdioTarget("cat", "cat"), open_log(tmp_path)) as prestarted:
            stack.push(prestarted.stderr)
            process = prestarted.take()
            assert prestarted.take() is None
        assert process
        assert process.returncode is None
        await shut_down(process)


def test_a_run_starts_its_server_once(tmp_path: Path) -> None:
    """The run calls the prestarted process, whose stderr is at the start of the log."""
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
