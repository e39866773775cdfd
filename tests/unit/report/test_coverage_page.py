"""The section about coverage in the page of a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.analysis.coverage.coverage import ArgumentCoverage, Coverage, ItemCoverage, ToolCoverage
from mcprun.report.html.coverage import CoverageView, coverage_view
from mcprun.report.html.page import page
from mcprun.report.html.run_page import report
from mcprun.runs.run import Run
from mcprun.runs.run_record import CoverageOutcome, CoverageRecord, PromptsRecord, RunRecord, ServerRecord
from tests.support.facts import EVIL, facts
from tests.support.markup import _Markup
from tests.support.runs import call, transcript, write_run

ARGUMENTS = (
    ArgumentCoverage("id", exercised=True),
    ArgumentCoverage("state", True, "enum", ("open",), ("closed", None)),
    ArgumentCoverage("full", False, "boolean", (), (True, False)),
)
COVERAGE = Coverage(
    (
        ToolCoverage("add", 3, 1, ARGUMENTS),
        ToolCoverage("broken", unusable="is left out: inputSchema is missing"),
        ToolCoverage("calm", 2, 0),
        ToolCoverage("put", 2, 2),
    ),
    prompts=(ItemCoverage("summary", 1), ItemCoverage("review", 1, 1)),
)


def viewed(coverage: Coverage, record: RunRecord | None = None) -> CoverageView:
    view = coverage_view(coverage, record or facts().record)
    assert view is not None
    return view


def gates(*failures: str, **more: Any) -> RunRecord:
    outcome = CoverageOutcome(covered=1, tools=2, failures=[*failures], notes=["waived, but called: put"])
    return facts(coverage=CoverageRecord(outcome=outcome, **more)).record


def test_tools_that_are_missing_come_first_and_waived_ones_last() -> None:
    """Each tool has its state, its calls, its error path, its arguments, and what is not exercised."""
    view = viewed(COVERAGE, gates(min_coverage=0.5, waive=["put"]))
    rows = [(one.name, one.kind, one.state, one.calls, one.error_path, one.arguments, one.values) for one in view.tools]
    assert rows == [
        ("broken", "error", "not called", 0, "", "", ""),
        ("add", "passed", "covered", 3, "seen", "2/3", "1/5"),
        ("calm", "passed", "covered", 2, "never seen", "", ""),
        ("put", "skipped", "waived; only failed", 2, "seen", "", ""),
    ]
    assert [one.missing for one in view.tools] == [
        "is left out: inputSchema is missing", 'state: "closed", null; full', "", "",
    ]  # fmt: skip
    assert [one.link for one in view.tools] == ["", "#tool=add", "#tool=calm", "#tool=put"]
    details = [(one.path, one.is_exercised, [(v.text, v.is_seen) for v in one.values]) for one in view.tools[1].details]
    assert details == [
        ("id", True, []),
        ("state", True, [('"closed"', False), ("null", False), ('"open"', True)]),
        ("full", False, [("true", False), ("false", False)]),
    ]
    assert (view.figure, view.tools_text, view.notes) == (
        "66.6 %",
        "2 of 3 tools, 1 waived",
        ("waived, but called: put",),
    )
    assert [(one.kind, one.label, one.x) for one in view.parts] == [
        ("passed", "2 covered", 0.0), ("error", "1 not called", 500.0), ("skipped", "1 waived", 750.0),
    ]  # fmt: skip
    assert ("Prompts", "1 of 2 (50 %); not used: review") in view.facts


def test_error_path_is_seen_only_if_the_server_returned_an_error() -> None:
    """Calls that timed out failed without showing it. A blank name is quoted."""
    view = viewed(Coverage((ToolCoverage(" ", 2, 1, unreturned=1), ToolCoverage("b", 2, 2, unreturned=1))))
    assert sorted((one.name, one.errors, one.error_path) for one in view.tools) == [
        ("' '", 1, "never seen"), ("b", 2, "seen"),
    ]  # fmt: skip


def test_outcome_of_the_gates_is_stated() -> None:
    """Gates are met, not met, or not evaluated, with the reason."""
    met = viewed(COVERAGE, gates(min_coverage=0.5, require=["add"]))
    assert (met.gates, met.is_failed) == ("met: --min-coverage 0.5, --require add", False)
    failed = viewed(COVERAGE, gates("--require put: why", min_coverage=0.5, require=["put"]))
    assert (failed.gates, failed.is_failed) == ("1 of 2 gates not met: --min-coverage 0.5, --require put", True)
    open_gates = CoverageRecord(min_coverage=1)
    unfinished = viewed(COVERAGE, facts(coverage=open_gates, state="interrupted").record)
    assert unfinished.notes == ("The gates were not evaluated, since the run has not finished.",)
    stopped = viewed(COVERAGE, facts(coverage=open_gates).record)
    assert stopped.notes == ("The gates were not evaluated.",)
    shard = facts(coverage=open_gates, prompts=PromptsRecord(file="p", sha256="0", queries=1, runs=1, shard="1/2"))
    assert [note[:22] for note in viewed(COVERAGE, shard.record).notes] == ["This run is a shard: m"]
    assert coverage_view(Coverage(), facts().record) is None


def test_size_is_bounded_however_large_the_surface_is() -> None:
    """A table lists at most 300 tools and 6,000 arguments and values, and counts the others."""
    values = tuple(range(1000))
    arguments = tuple(ArgumentCoverage(f"a{number}", True, "enum", values[:5], values) for number in range(1000))
    view = viewed(Coverage(tuple(ToolCoverage(f"t{number}", 1, 0, arguments) for number in range(1000))))
    assert (len(view.tools), view.more) == (300, 700)
    entries = sum(1 + len(one.values) for tool in view.tools for one in tool.details)
    assert 5_900 < entries <= 6_000
    first, last = view.tools[0], view.tools[-1]
    assert (len(first.details), first.more, first.details[0].more) == (60, 940, 975)
    assert (last.details, last.more) == ((), 1000)


@given(st.text() | st.just(EVIL))
@settings(deadline=None)
def test_no_text_of_a_server_becomes_markup(text: str) -> None:
    """The section has the same elements, whatever tools, arguments, values and prompts are called."""
    hostile = Coverage(
        (ToolCoverage(text, 3, 1, (ArgumentCoverage(text, True, "enum", (text,), (text + "2",)),)),),
        prompts=(ItemCoverage(text, 0),),
        unlisted={text: 1},
    )
    section = _section(viewed(hostile, gates(text, require=[text])))
    plain = Coverage(
        (ToolCoverage("a", 3, 1, (ArgumentCoverage("a", True, "enum", ("a",), ("b",)),)),),
        prompts=(ItemCoverage("a", 0),),
        unlisted={"a": 1},
    )
    assert _Markup(section).elements == _Markup(_section(viewed(plain, gates("a", require=["a"])))).elements
    assert not set("\x1b\u202e\r") & set(section)


def _section(view: CoverageView) -> str:
    return "".join(page("coverage.html.jinja", (), (), overview=SimpleNamespace(coverage=view)))


def test_page_shows_low_coverage_before_the_queries(tmp_path: Path) -> None:
    """A run that is red for its coverage has the section below the causes, which link to it; others, after the table."""
    tools = [{"name": name, "inputSchema": {"type": "object", "properties": {"a": {}}}} for name in ("add", "put")]
    for name, failures in (("red", ["coverage is below --min-coverage 1"]), ("green", [])):
        outcome = CoverageOutcome(covered=1, tools=2, failures=failures)
        write_run(
            tmp_path / name,
            [transcript("q", call("add", "1", input={"a": 1}))],
            server=ServerRecord(protocol="2025-11-25", tools=tools),
            coverage=CoverageRecord(min_coverage=1.0, outcome=outcome),
        )
        text = "".join(report(Run.read(str(tmp_path / name))))
        causes, section, tiles = (text.find(part) for part in ('class="why"', 'id="coverage"', 'class="tiles"'))
        assert (causes >= 0, 0 < section < tiles, 'href="#coverage"' in text) == (bool(failures),) * 3
        assert '<dt>Coverage</dt><dd class="number">50 %</dd><dd>1 of 2 tools</dd>' in text
