"""The Python interface in programs and notebooks: the synchronous form, what a run is shown as, and the descriptions."""

from __future__ import annotations

import asyncio
import inspect
import re
import signal
import sys
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from mcp.server import MCPServer

import mcprun
from mcprun.runs.events import Event
from tests.support.cli import script

ADD = script(("add", {"a": 2, "b": 3}), id="add", text="5", expect={"calls": [{"tool": "add", "result": 5}]})
WRONG = ADD | {"id": "wrong", "expect": {"calls": [{"tool": "add", "result": 6}]}}

SCRIPT = mcprun.Options(model="script", out="run")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server() -> MCPServer:
    """Return a server in this process that adds."""
    adder = MCPServer("adder")

    @adder.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @adder.tool()
    async def interrupt() -> None:
        """Interrupt the main thread, as Ctrl-C does, and wait forever."""
        if sys.platform == "win32":
            raise NotImplementedError
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await asyncio.Event().wait()

    return adder


def test_the_synchronous_form_needs_no_event_loop(server: MCPServer) -> None:
    """It returns the finished run, and passes events to `watch`."""
    events: list[Event] = []
    run = mcprun.run_batch_sync([ADD], server, SCRIPT, watch=events.append)
    assert (run.ok, run.record.exit_code, len(list(run.transcripts()))) == (True, 0, 1)
    assert events


async def test_the_synchronous_form_runs_where_an_event_loop_is_running(server: MCPServer) -> None:
    """A notebook's event loop is not touched, and errors are raised."""
    assert mcprun.run_batch_sync([ADD], server, SCRIPT).ok
    with pytest.raises(mcprun.PromptsError, match=re.escape("queries[0].promt: unknown key")):
        mcprun.run_batch_sync([{"promt": "x"}], server, SCRIPT)
    assert asyncio.get_running_loop().is_running()


def test_an_interrupt_ends_a_synchronous_run(server: MCPServer) -> None:
    """Ctrl-C is raised once the run has shut down and is on disk."""
    with pytest.raises(KeyboardInterrupt):
        mcprun.run_batch_sync([script(("interrupt", {}))], server, SCRIPT)
    run = mcprun.Run.read("run")
    assert (run.ok, run.record.state) == (False, "interrupted")


def test_a_run_and_its_parts_are_shown_in_one_line(server: MCPServer) -> None:
    """A run is shown with its outcome, a transcript with its verdict, and a comparison with its counts."""
    run = mcprun.run_batch_sync([ADD, WRONG], server, SCRIPT)
    assert not run.ok
    assert repr(run) == "<Run 'run': finished, 1 passed, 1 failed>"
    assert str(run.record) == "<RunRecord: finished, 1 passed, 1 failed>"
    (first, second) = run.transcripts()
    assert str([first, second]) == (
        "[<Transcript 'add': passed, turns: 2, calls: 1>, <Transcript 'wrong': failed, turns: 2, calls: 1>]"
    )
    assert repr(first.calls) == "[<Call add {'a': 2, 'b': 3}>]"
    longer = first.calls[0].model_copy(update={"input": {"x": "y" * 10_000}, "is_error": True})
    assert len(repr(longer)) < 120
    head = mcprun.run_batch_sync([ADD | {"expect": {}}, WRONG], server, mcprun.Options(model="script", out="head"))
    differences = mcprun.compare_runs(run.path, head.path)
    assert repr(differences) == "<Differences: 2 same>"
    change: Any = mcprun.Change("result", {"x": "a" * 10_000}, 6, 0, "add")
    assert (len(repr(change)) < 250, repr(change)[:25]) == (True, "<Change result of call 0:")
    query = mcprun.QueryDiff("add", 1, "changed", changes=(change,), is_regression=True)
    assert repr(query) == "<QueryDiff 'add': changed, 1 change, a regression>"


def test_gates_are_options_and_coverage_is_measured(server: MCPServer, folder: Path) -> None:
    """A run is not ok below a gate, and its coverage, alone or with others, is that of `mcprun coverage`."""
    options = mcprun.Options(model="script", out="run", min_coverage=1, require=["add"])
    run = mcprun.run_batch_sync([ADD], server, options)
    assert (run.ok, repr(run)) == (False, "<Run 'run': finished, 1 passed, coverage 1 of 2 tools>")
    assert run.record.coverage_failures == [
        "coverage is below --min-coverage 1: 1 of 2 tools (50 %); not called: interrupt"
    ]
    coverage = mcprun.measure_coverage(run)
    assert repr(coverage) == "<Coverage: 1 of 2 tools, 2 of 2 arguments, 0 of 0 values>"
    assert [(tool.name, tool.is_covered, tool.calls) for tool in coverage.tools] == [
        ("add", True, 1),
        ("interrupt", False, 0),
    ]
    assert mcprun.measure_coverage("run") == mcprun.measure_coverage(iter([folder / "run"])) == coverage
    both = mcprun.measure_coverage([run, "run"])
    assert (both.covered.value, both.tools[0].calls, both.runs) == (0.5, 2, 2)


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (3, "runs must be runs or their folders, not a whole number"),
        ([None], "runs must be runs or their folders, not None"),
        ([], "runs must not be empty"),
        ("nope", "there is no run at nope"),
    ],
)
def test_runs_without_a_coverage_are_refused(runs: Any, message: str) -> None:
    """A message names what was passed in place of a run."""
    with pytest.raises(mcprun.UsageError, match=re.escape(message)):
        mcprun.measure_coverage(runs)


def test_options_are_shown_without_defaults_and_secrets() -> None:
    """Only what is not the default is shown, and no value that may be a secret."""
    options = mcprun.Options(model="script", token="hunter2", env={"A": "hunter2"}, limits=mcprun.Limits(max_turns=3))
    assert repr(options) == "Options(model='script', env=***, token=***, limits=Limits(max_turns=3))"


@pytest.mark.parametrize("kind", [mcprun.Options, mcprun.Limits])
def test_each_option_is_described(kind: type[mcprun.Options | mcprun.Limits]) -> None:
    """The docstring describes the fields, each on a line of its own, in their order."""
    docstring = inspect.cleandoc(kind.__doc__ or "")  # Python 3.13 strips the indentation itself
    described = re.findall(r"^ {4}(\w+): \S", docstring, re.MULTILINE)
    assert described == [field.name for field in fields(kind)]
