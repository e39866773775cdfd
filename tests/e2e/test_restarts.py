"""Closing a server pool or cancelling a server's start leaves no process behind."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mcprun.client.connector import ConnectOptions, Connector
from mcprun.client.pool import ServerPool
from mcprun.client.server_log import ServerLog
from mcprun.client.target import StdioTarget
from mcprun.client.transports.stdio import Stdio
from mcprun.runs.events import Event, ServerExit
from mcprun.runs.redaction import Redactor
from tests.support.cli import (
    RAW,
)

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@pytest.fixture
def short_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten each step of a server's shutdown to 0.2 s."""
    monkeypatch.setattr("mcprun.client.transports.process._EXIT_SECONDS", 0.2)


@pytest.mark.usefixtures("short_shutdown")
async def test_closing_a_pool_waits_for_all_servers_even_if_cancelled(tmp_path: Path) -> None:
    """Cancelling the close of a pool still waits until both of its servers have exited."""
    target = StdioTarget("raw", sys.executable, (str(RAW), "withdraws"))
    log, events = ServerLog(tmp_path / "server.log", Redactor(), 1000), list[Event]()
    connector = Connector(target, log, events.append, ConnectOptions(timeout_s=30.0, max_bytes=10_000))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(ServerPool(connector, size=2, restarts=0, emit=events.append))
        await pool.first.call("die", {}, 30.0)
        closing = asyncio.create_task(stack.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert {event.server for event in events if isinstance(event, ServerExit)} == {1, 2}


async def test_a_cancelled_start_leaves_no_process(tmp_path: Path) -> None:
    """Wherever a start is cancelled, the supervisor, the server and its daemons are ended."""
    daemons = "setsid sh -c 'trap \"\" TERM; exec sleep 600' & setsid sleep 600 & cat; wait"
    log = ServerLog(tmp_path / "server.log", Redactor(), 1000)
    for steps in (0, 1, 2, 4):
        with log.stderr() as stderr:
            stdio = Stdio(StdioTarget("sh", "sh", ("-c", daemons)), stderr, 1000)

            async def start(stdio: Stdio = stdio) -> None:
                async with stdio.open():
                    await asyncio.Event().wait()

            task = asyncio.create_task(start())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
