"""The Python API runs the same code as the commands."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

import mcprun
from mcprun.runs.events import Event, ModelCall, RunStart, ServerStart
from tests.support.cli import QUICKSTART, RAW, clean_environment, read_jsonl, run_mcprun, script
from tests.support.documents import code_blocks, page

ADD = script(("add", {"a": 2, "b": 3}), id="add", text="5", expect={"calls": [{"tool": "add", "result": 5}]})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a temporary folder, and unset the variables that select an API or a model."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "MCPRUN_MODEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_exported_names_exist_and_the_import_is_light() -> None:
    """Each exported name exists, has a docstring and is listed in `_HOME`.

    Importing the package imports no heavy dependency.
    """
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


async def test_run_batch_and_the_command_write_the_same_transcripts(folder: Path) -> None:
    """`run_batch` and `mcprun batch` write the same bytes."""
    prompts, quickstart = QUICKSTART
    run = await mcprun.run_batch(prompts, quickstart, mcprun.Options(out="api"))
    done = run_mcprun("batch", prompts, quickstart, "--out", "cli", cwd=folder)
    assert (folder / run.path / "transcripts.jsonl").read_bytes() == done.bytes
    assert mcprun.compare_runs("api", "cli").summary == mcprun.DiffSummary(same=6)


async def test_a_run_that_cannot_start_restores_the_garbage_collector() -> None:
    """If the server does not start, the garbage collector is enabled afterwards and no object stays frozen."""
    run = await mcprun.run_batch([ADD], RAW, mcprun.Options(model="script", server_args=["exit"]))
    assert run.record.error
    assert (gc.get_freeze_count(), gc.isenabled()) == (0, True)


@pytest.mark.parametrize("moment", [RunStart, ServerStart, ModelCall])
async def test_a_run_that_is_cancelled_repeatedly_shuts_down(folder: Path, moment: type[Event]) -> None:
    """A run that is cancelled repeatedly, at any moment, leaves no task, and its trace records the server's exit."""
    reached = asyncio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, moment):
            reached.set()

    options = mcprun.Options(model="script", server_args=["lingers"], out="run")
    run = asyncio.create_task(mcprun.run_batch([script(("hang", {}))], RAW, options, watch=watch))
    await reached.wait()
    for _ in range(9):
        run.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert asyncio.all_tasks() == {asyncio.current_task()}
    data = [event["event"] for event in read_jsonl(folder / "run" / "trace.jsonl")]
    assert data.count("server_exit") == data.count("server_start") == (0 if moment is RunStart else 1)
    assert mcprun.Run.read("run").record.state == "interrupted"


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("python", ["add", "passed", 5]),
        ("coverage", ["subtract", 0.5, ["mode"]]),
        ("routing", [0.5, {"close_issue": 1, "get_issue": 0}, [[["get_issue", True], ["close_issue", True], 1]]]),
    ],
)
def test_the_examples_of_the_documents(folder: Path, name: str, printed: object) -> None:
    """The programs in docs/python.md, docs/coverage.md and docs/routing.md run unchanged."""
    (code,) = code_blocks(page(name), "python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean_environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert json.loads(done.stdout) == printed
