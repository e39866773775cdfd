"""Servers that ignore every signal leave nothing behind."""

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
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers a fifth of a second for each step of their shutdown."""
    monkeypatch.setattr("mcprun.client.transports.process._EXIT_SECONDS", 0.2)


@pytest.mark.usefixtures("brief")
async def test_all_servers_are_waited_for_when_their_closing_is_cancelled(tmp_path: Path) -> None:
    """The quick one does not leave the slow one to itself."""
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


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """Wherever the start of a server is cancelled, the server and its daemons are ended, not only its supervisor."""
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
