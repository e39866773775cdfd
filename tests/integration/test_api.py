"""The Python interface runs what the commands run."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mcp.server import MCPServer

import mcprun
from mcprun.runs.events import Event, ModelCall, RunStart, ServerStart
from tests.support.cli import QUICKSTART, RAW, ROOT, clean_environment, read_jsonl, run_mcprun, script

ADD = script(("add", {"a": 2, "b": 3}), id="add", text="5", expect={"calls": [{"tool": "add", "result": 5}]})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs are written below the working folder, and no key of ours is there."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "MCPRUN_MODEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def server() -> MCPServer:
    """A server in this process, which can add, wait for ever, and fail."""
    made = MCPServer("adder", version="1.2.3")

    @made.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @made.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("on purpose")

    return made


def test_what_is_exported() -> None:
    """Each name is there, has its place in the table of homes, and nothing heavy comes with the package itself."""
    assert sorted(mcprun._HOME) == mcprun.__all__
    for name in mcprun.__all__:
        assert getattr(mcprun, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = mcprun.nope
    code = (
        "import sys, mcprun; print([name for name in ('pydantic', 'mcp', 'anthropic', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_the_command_is_no_more_than_this(folder: Path) -> None:
    """The same bytes come out of both."""
    prompts, quickstart = QUICKSTART
    run = await mcprun.run_batch(prompts, quickstart, mcprun.Options(out="api"))
    done = run_mcprun("batch", prompts, quickstart, "--out", "cli", cwd=folder)
    assert (folder / run.path / "transcripts.jsonl").read_bytes() == done.bytes
    assert mcprun.compare_runs("api", "cli").summary == mcprun.DiffSummary(same=6)


async def test_a_run_that_can_not_begin_leaves_this_process_as_it_was() -> None:
    """Its server does not start, and nothing stays hidden from who looks for garbage."""
    run = await mcprun.run_batch([ADD], RAW, mcprun.Options(model="script", server_args=["exit"]))
    assert run.record.error
    assert (gc.get_freeze_count(), gc.isenabled()) == (0, True)


@pytest.mark.parametrize("moment", [RunStart, ServerStart, ModelCall])
async def test_a_run_that_is_cancelled_again_and_again_ends_all_the_same(folder: Path, moment: type[Event]) -> None:
    """Nothing of it goes on when it returns, whenever it was cancelled, and its server's end is in the trace."""
    now = asyncio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, moment):
            now.set()

    options = mcprun.Options(model="script", server_args=["lingers"], out="run")
    run = asyncio.create_task(mcprun.run_batch([script(("hang", {}))], RAW, options, watch=watch))
    await now.wait()
    for _ in range(9):
        run.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert asyncio.all_tasks() == {asyncio.current_task()}
    data = [event["event"] for event in read_jsonl(folder / "run" / "trace.jsonl")]
    assert data.count("server_exit") == data.count("server_start") == (0 if moment is RunStart else 1)
    assert mcprun.Run.read("run").record.state == "interrupted"


def test_the_readmes_example(folder: Path) -> None:
    """The README's Python code runs as it stands."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert json.loads(done.stdout) == ["add", "passed", 5]
