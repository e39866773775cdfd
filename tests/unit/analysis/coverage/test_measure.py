"""Coverage adds up the tools that servers list and the calls that reach them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.analysis.coverage.coverage import Coverage, ToolCoverage, ToolState
from mcprun.analysis.coverage.measure import CoverageMeter, listed_names, measure_coverage
from mcprun.errors import UsageError
from mcprun.runs.run import Run
from mcprun.runs.run_record import Malformed, ServerRecord
from mcprun.runs.transcript import CallOutcome, Transcript, Turn
from mcprun.tools.results import REFUSED, STOPPED, error_result
from mcprun.tools.toolset import ToolSet
from tests.support.covered_runs import SimpleRun, runs
from tests.support.runs import broken, call, event, transcript, write_run
from tests.support.tool_lists import tool


def coverage_of(found: Iterable[SimpleRun]) -> Coverage:
    found = [*found]
    meter = CoverageMeter(one.server for one in found)
    for one in found:
        for outcome, was_sent in one.calls:
            meter.count(outcome, listed_names(one.server), was_sent=was_sent)
    return meter.coverage()


def names(coverage: Coverage, state: ToolState) -> set[str]:
    return {one.name for one in coverage.in_state(state)}


@given(st.lists(runs, max_size=3))
def test_tools_are_those_listed_and_covered_those_that_returned(found: list[SimpleRun]) -> None:
    """A tool is covered if a call that was sent returned, failed if all did, and else uncalled."""
    coverage = coverage_of(found)
    reached = [(one.tool, one.is_error) for run in found for one, sent in run.calls if sent and one.tool in run.listed]
    listed = {name for run in found for name in run.listed}
    covered = {name for name, is_error in reached if not is_error}
    assert {one.name for one in coverage.tools} == listed
    assert names(coverage, ToolState.COVERED) == covered
    assert names(coverage, ToolState.FAILED) == {name for name, _ in reached} - covered
    assert names(coverage, ToolState.UNCALLED) == listed - {name for name, _ in reached}
    assert {*coverage.without_error} == {name for name, _ in reached} - {name for name, error in reached if error}
    assert sum(one.calls for one in coverage.tools) == len(reached)


@given(st.lists(runs, max_size=3))
def test_other_calls_are_counted_apart(found: list[SimpleRun]) -> None:
    """Calls that were not sent, and those of tools that the run's own server does not list, are not lost."""
    coverage = coverage_of(found)
    assert sum(coverage.unsent.values()) == sum(not sent for run in found for _, sent in run.calls)
    unlisted = [one for run in found for one, sent in run.calls if sent and one.tool not in run.listed]
    assert sum(coverage.unlisted.values()) == len(unlisted)


@given(st.permutations(range(3)), st.tuples(runs, runs, runs))
def test_order_of_runs_does_not_matter(order: list[int], found: tuple[SimpleRun, ...]) -> None:
    """Runs add up in any order."""
    assert coverage_of(found[number] for number in order) == coverage_of(found)


@given(runs, runs)
def test_two_runs_cover_what_either_covers(first: SimpleRun, second: SimpleRun) -> None:
    """Coverage never falls when a run is added, as long as its server lists nothing new."""
    both, *single = coverage_of([first, second]), coverage_of([first]), coverage_of([second])
    assert names(both, ToolState.COVERED) == {name for one in single for name in names(one, ToolState.COVERED)}


TOOLS = [
    tool("get", {"type": "object", "properties": {"id": {}, "full": {"type": "boolean"}}}),
    tool("put", {"type": "object", "properties": {"id": {}}}),
    tool("drop", {"type": "object"}),
]


def server(*tools: dict[str, Any], **more: Any) -> ServerRecord:
    return ServerRecord(protocol="2026-07-28", tools=[*(tools or TOOLS)], **more)


def measured(path: Path, *transcripts: Transcript, record: ServerRecord | None = None) -> Coverage:
    write_run(path / "run", transcripts, server=record or server())
    return measure_coverage([Run.read(str(path / "run"))])


def state_of(coverage: Coverage, name: str) -> tuple[str, int, int]:
    (found,) = [one for one in coverage.tools if one.name == name]
    return found.state.value, found.calls, found.errors


def failing(tool_name: str, text: str, **more: Any) -> Any:
    return call(tool_name, *error_result(text)["content"], is_error=True, **more)


def test_run_directory_is_measured(tmp_path: Path) -> None:
    """The calls of all transcripts count, whatever the verdict of their query."""
    coverage = measured(
        tmp_path,
        transcript("one", call("get", "ok", input={"id": 1, "full": True})),
        transcript("two", failing("put", "no such id", input={"id": 2}), verdict="failed"),
    )
    assert [state_of(coverage, name) for name in ("get", "put", "drop")] == [
        ("covered", 1, 0), ("failed", 1, 1), ("uncalled", 0, 0),
    ]  # fmt: skip
    assert coverage.covered.value == 1 / 3
    assert (coverage.arguments.done, coverage.arguments.total) == (2, 3)
    assert (coverage.values.done, coverage.values.total) == (1, 2)
    assert coverage.without_error == ("get",)


@pytest.mark.parametrize(
    "unsent",
    [
        failing("get", "The tool get is not allowed here.", problem="not allowed"),
        failing("get", "The tool get is not allowed here."),
        failing("get", "The arguments can't be sent: …", problem="bad arguments"),
        failing("get", REFUSED),
    ],
    ids=["denied", "denied in an older run", "unsendable", "refused in a chat"],
)
def test_call_that_was_not_sent_is_no_call(tmp_path: Path, unsent: Any) -> None:
    """A denied call does not make a tool one that only failed: the server never saw it."""
    coverage = measured(tmp_path, transcript("one", unsent))
    assert state_of(coverage, "get") == ("uncalled", 0, 0)
    assert coverage.unsent == {"get": 1}


@pytest.mark.parametrize(
    "sent",
    [
        failing("get", "The tool put is not allowed here."),
        failing("get", "No result within 1 s.", problem="timeout"),
        failing("get", STOPPED),
    ],
    ids=["an error of the server", "timed out", "stopped in a chat"],
)
def test_call_that_was_sent_and_failed_is_a_failure(tmp_path: Path, sent: Any) -> None:
    """A call that reached the server and brought no result counts as failed."""
    assert state_of(measured(tmp_path, transcript("one", sent)), "get") == ("failed", 1, 1)


def dying(*used: str, answered: tuple[Any, ...] = (), stop_reason: str = "tool_use") -> Transcript:
    """Return the transcript of a query whose last turn used these tools when its server died."""
    uses = [{"type": "tool_use", "id": name, "name": name, "input": {}} for name in used]
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": uses}]
    return broken("dead", "server_died", "lost", *answered, messages=messages, turns=[Turn(stop_reason=stop_reason)])


def test_call_that_killed_the_server_failed(tmp_path: Path) -> None:
    """A call without an answer is in the last turn only. One of the same turn that was answered counts once."""
    coverage = measured(tmp_path, dying("get", "drop", "drop", answered=(call("get", "ok"), call("drop", "ok"))))
    assert state_of(coverage, "get") == ("covered", 1, 0)
    assert state_of(coverage, "drop") == ("covered", 2, 1)


def test_calls_of_all_attempts_and_steps_count(tmp_path: Path) -> None:
    """The trace has the attempts that a server's death ended, and the steps that mcprun made itself."""
    where = {"query": "one", "server": 1, "log_offset": 0}
    trace = [
        event("tool_call", 1, **where, call=0, tool="put", input={"id": 1}, is_error=False),
        event("tool_call", 2, **where, call=1, tool="get", input={}, is_error=True, problem="server_died"),
        event("tool_call", 3, **where | {"attempt": 2}, call=0, tool="get", input={"full": True}, is_error=False),
        event("tool_call", 4, **where, call=1, tool="drop", input={}, is_error=True, problem="not approved"),
        event("step", 5, **where, phase="after", step=0, tool="drop", input={}, is_error=True),
        event("step", 6, **where, phase="cleanup", step=0, tool="drop", input={}, skipped="no value"),
    ]
    steps = [{"phase": "after", "step": 0, "tool": "drop", "is_error": True, "content": []}]
    one = transcript("one", call("get", "ok"), failing("drop", REFUSED), steps=steps)
    write_run(tmp_path / "run", [one], trace, server=server())
    coverage = measure_coverage([Run.read(str(tmp_path / "run"))])
    assert [state_of(coverage, name) for name in ("get", "put", "drop")] == [
        ("covered", 2, 1), ("covered", 1, 0), ("failed", 1, 1),
    ]  # fmt: skip
    assert coverage.values.done == 1
    assert coverage.unsent == {"drop": 1}
    assert coverage.without_error == ("get", "put")  # a server that dies returns no error
    for number, cut in enumerate(([], trace[:1], None)):
        write_run(tmp_path / f"cut{number}", [one], cut, server=server())
        last = measure_coverage([Run.read(str(tmp_path / f"cut{number}"))])
        states = [state_of(last, name) for name in ("get", "put", "drop")]
        assert states == [("covered", 1, 0), ("uncalled", 0, 0), ("failed", 1, 1)]
        assert last.unsent == {"drop": 1}


@pytest.mark.parametrize(
    ("problem", "is_seen"),
    [
        (None, True),
        ("json-rpc error -32602", True),
        ("http status 500", True),
        ("timeout", False),
        ("cancelled", False),
        ("server_died", False),
        ("output schema", False),
    ],
)
def test_error_path_is_seen_if_the_server_returned_an_error(problem: str | None, is_seen: bool) -> None:
    """A call that brought no result, or an invalid one, has not seen how the tool rejects an input."""
    meter = CoverageMeter([server()])
    meter.count(CallOutcome(tool="get", input={}, is_error=True, problem=problem), {"get"})
    assert ("get" not in meter.coverage().without_error) == is_seen


def test_calls_of_an_incomplete_turn_were_not_made(tmp_path: Path) -> None:
    """A turn that was cut off by `max_tokens` makes no calls."""
    assert state_of(measured(tmp_path, dying("get", stop_reason="max_tokens")), "get") == ("uncalled", 0, 0)


def test_unanswered_call_is_counted_under_the_name_of_the_server(tmp_path: Path) -> None:
    """`messages` hold the names that the API was sent, which may be others."""
    record = server(tool("files.get"))
    (sent,) = ToolSet.of(record.tools).names
    assert sent != "files.get"
    coverage = measured(tmp_path, dying(sent), record=record)
    assert state_of(coverage, "files.get") == ("failed", 1, 1)


def test_tools_that_no_model_can_call_are_listed_with_the_reason(tmp_path: Path) -> None:
    """Malformed and unsendable tools are in the denominator, in whichever session they were listed."""
    record = server(
        tool("get"),
        {**tool("task"), "execution": {"taskSupport": "required"}},
        warnings=["tool 'task' is left out: …"],
        malformed=[Malformed(item="broken", rule="malformed", message="is left out: inputSchema is missing")],
        later_tools=[tool("late")],
        later_malformed=[Malformed(item="tools[3]", rule="malformed", message="is left out: it is null")],
    )
    coverage = measured(tmp_path, transcript("one", call("late")), record=record)
    assert {one.name: one.unusable for one in coverage.tools} == {
        "broken": "is left out: inputSchema is missing",
        "get": "",
        "late": "",
        "task": "is left out: it can only be called as a task, which mcprun does not support",
        "tools[3]": "is left out: it is null",
    }
    assert (coverage.covered.done, coverage.covered.total) == (1, 5)


def test_runs_without_a_server_cover_nothing(tmp_path: Path) -> None:
    """If no server started, the message says so. One run with a server is enough."""
    write_run(tmp_path / "dead", [], server=None)
    write_run(tmp_path / "good", [transcript("one", call("get"))], server=server())
    dead, good = (Run.read(str(tmp_path / name)) for name in ("dead", "good"))
    with pytest.raises(UsageError, match="dead: there are no tools to cover, since the server did not start"):
        measure_coverage([dead])
    coverage = measure_coverage([dead, good])
    assert (coverage.runs, coverage.covered.done) == (2, 1)


def test_server_without_tools_has_no_share() -> None:
    """0 of 0 tools is neither 0 % nor 100 %."""
    assert Coverage().covered.value is None
    assert ToolCoverage("a", calls=1, errors=1).is_covered is False


def items_of(coverage: Coverage) -> tuple[Any, Any]:
    """Return each prompt and each resource with its number of reads and errors; None for lists that are not known."""
    return tuple(
        None if items is None else [(one.name, one.reads, one.errors) for one in items]
        for items in (coverage.prompts, coverage.resources)
    )  # type: ignore[return-value]


def test_prompts_and_resources_are_read_from_the_trace(tmp_path: Path) -> None:
    """They are known if they were listed. Others that queries asked for do not count."""
    trace = [
        event("prompt_get", 1, query="q", prompt="summary", arguments={}),
        event("prompt_get", 2, query="q", prompt="gone", arguments={}, problem="error"),
        event("resource_read", 3, query="q", uri="note://1"),
        event("resource_read", 4, query="q", uri="note://2", problem="timeout"),
        event("resource_read", 5, query="q", uri="note://1"),
    ]
    record = server(prompts=["summary", "review"], resources=["note://2", "note://1"])
    write_run(tmp_path / "run", [transcript("q")], trace, server=record)
    coverage = measure_coverage([Run.read(str(tmp_path / "run"))])
    assert items_of(coverage) == (
        [("review", 0, 0), ("summary", 1, 0)],
        [("note://1", 2, 0), ("note://2", 1, 1)],
    )
    assert [one.is_covered for one in coverage.resources or ()] == [True, False]


def test_template_counts_only_what_its_own_server_was_asked_for(tmp_path: Path) -> None:
    """A step's read counts. Of another run, whose server does not list the template, none does."""
    where = {"query": "q", "server": 1, "log_offset": 0}
    trace = [
        event("resource_read", 1, **where, uri="note://1"),
        event("step", 2, **where, phase="after", step=0, resource="note://2", is_error=True),
        event("step", 3, **where, phase="after", step=1, resource="note://3", skipped="no value"),
    ]
    for name, templates in (("one", ["note://{id}", "log://{id}"]), ("two", [])):
        record = server(resources=[], resource_templates=templates)
        write_run(tmp_path / name, [transcript("q")], trace, server=record)
    found = measure_coverage([Run.read(str(tmp_path / name)) for name in ("one", "two")]).resource_templates or ()
    assert [(one.name, one.reads, one.errors) for one in found] == [("log://{id}", 0, 0), ("note://{id}", 2, 1)]


def test_prompts_of_a_run_without_a_trace_are_not_known(tmp_path: Path) -> None:
    """A baseline keeps no trace. With another run, only the lists of that one count."""
    record = server(prompts=["a"], resources=None)
    write_run(tmp_path / "baseline", [], server=record)
    write_run(tmp_path / "run", [], [], server=server(prompts=["b"]))
    baseline, run = (Run.read(str(tmp_path / name)) for name in ("baseline", "run"))
    assert items_of(measure_coverage([baseline])) == (None, None)
    assert items_of(measure_coverage([baseline, run])) == ([("b", 0, 0)], None)
