"""Ctrl-C in pytest while the `mcp_run` fixture waits for a run."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import anyio
import pytest
from mcp.server import MCPServer

from mcprun.client.transports import process
from mcprun.engine.options import Options
from mcprun.engine.plan import make_plan
from mcprun.pytest_plugin.background_run import BackgroundRun
from tests.support.cli import script
from tests.support.forks import Forks

INTERRUPTING = """
import os, signal
from mcp.server import MCPServer

server = MCPServer("interrupting")


@server.tool()
async def interrupt() -> str:
    import anyio

    os.kill(int(open("pid").read()), signal.SIGINT)
    await anyio.sleep_forever()


server.run()
"""

TESTS = """
import os, threading
import pytest

open("pid", "w").write(str(os.getpid()))
QUERIES = [{"id": "stuck", "prompt": "?", "script": [{"calls": [{"tool": "interrupt", "input": {}}]}, {"text": "5"}]}]


def test_own(mcp_run):
    mcp_run(QUERIES, "interrupting.py", out="run")


def test_thread(mcp_run):
    arguments = (QUERIES, "interrupting.py")
    threading.Thread(target=mcp_run, args=arguments, kwargs={"out": "run", "check": False}, daemon=True).start()
    threading.Event().wait()


@pytest.mark.asyncio
async def test_loop(mcp_run):
    import asyncio

    await asyncio.to_thread(mcp_run, QUERIES, "interrupting.py", out="run")
"""


@pytest.mark.parametrize("name", ["test_own", "test_thread", "test_loop"])
def test_ctrl_c_interrupts_the_run_of_the_fixture(tmp_path: Path, mcprun: Forks, name: str) -> None:
    """pytest ends after the run, whichever thread or loop waits for it, and the run is recorded as interrupted."""
    (tmp_path / "interrupting.py").write_text(INTERRUPTING)
    (tmp_path / "test_it.py").write_text(TESTS)
    quick = ("-p", "no:hypothesispytest", "-o", "asyncio_default_fixture_loop_scope=function")
    code, stdout, stderr = mcprun.pytest(*quick, f"test_it.py::{name}", cwd=tmp_path)
    assert (code, "KeyboardInterrupt" in stdout) == (2, True), stdout + stderr
    record = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert (record["state"], record["error"]["message"]) == ("interrupted", "pytest was interrupted")
    assert record["counts"]["skipped"] == 1


class InterruptedEvent(threading.Event):
    """Raise `KeyboardInterrupt` from the first `times` waits, each once `ready` is set."""

    def __init__(self, times: int, ready: threading.Event) -> None:
        super().__init__()
        self._times = times
        self._ready = ready

    def wait(self, timeout: float | None = None) -> bool:
        assert self._ready.wait(30)
        self._times -= 1
        if self._times >= 0:
            raise KeyboardInterrupt
        return super().wait(timeout)


@pytest.mark.parametrize(("times", "state"), [(1, "interrupted"), (2, "interrupted"), (3, "started")])
def test_third_interrupt_abandons_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, state: str
) -> None:
    """The first two interrupts stop the run and wait for it; a third, for a tool that never returns, waits no more."""
    monkeypatch.setattr(process, "_hurried", threading.Event())  # the process never clears it
    server, is_called, may_end = MCPServer("stubborn"), threading.Event(), threading.Event()

    @server.tool()
    async def stay() -> str:
        is_called.set()
        with anyio.CancelScope(shield=state == "started"):
            await anyio.to_thread.run_sync(may_end.wait, abandon_on_cancel=True)
        return "done"

    running = BackgroundRun(make_plan([script(("stay", {}), id="a")], server, Options(out=str(tmp_path / "run"))))
    running._finished = InterruptedEvent(times, is_called)
    with pytest.raises(KeyboardInterrupt):
        running.start().result()
    running.interrupt()  # as the fixture's teardown does
    record = json.loads((tmp_path / "run" / "run.json").read_bytes())
    may_end.set()
    running._thread.join()
    assert state == record["state"]
