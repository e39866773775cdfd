"""The coverage of two runs is compared tool by tool, argument by argument, value by value."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from mcprun.analysis.coverage.changes import CoverageDiff, LostArgument, compare_coverage
from mcprun.analysis.coverage.coverage import ArgumentCoverage, Coverage, Share, ToolCoverage
from mcprun.analysis.coverage.measure import CoverageMeter, listed_names
from mcprun.report.coverage_diff import coverage_lines
from tests.support.covered_runs import SimpleRun, runs


def measured(run: SimpleRun) -> Coverage:
    meter = CoverageMeter([run.server])
    for outcome, was_sent in run.calls:
        meter.count(outcome, listed_names(run.server), was_sent=was_sent)
    return meter.coverage()


def argument(path: str, seen: tuple[Any, ...] = (), unseen: tuple[Any, ...] = (), *, passed: bool = True) -> Any:
    return ArgumentCoverage(path, passed, "enum" if seen or unseen else None, seen, unseen)


@given(runs, runs)
def test_tools_that_fell_are_those_covered_before_only(base: SimpleRun, head: SimpleRun) -> None:
    """A tool is lost if only BASE covers it, and new if only HEAD lists it and does not call it."""
    before, after = measured(base), measured(head)
    diff = compare_coverage(before, after)
    covered = [{tool.name for tool in one.tools if tool.is_covered} for one in (before, after)]
    listed = [{tool.name for tool in one.tools} for one in (before, after)]
    called = {tool.name for tool in after.tools if tool.calls}
    assert {*diff.lost} == (covered[0] - covered[1]) & listed[1]
    assert {*diff.new} == listed[1] - listed[0] - called
    assert (diff.before, diff.after) == (before.covered, after.covered)


@given(runs)
def test_equal_runs_have_no_difference(run: SimpleRun) -> None:
    """Nothing falls between a run and itself."""
    assert not compare_coverage(measured(run), measured(run))


def test_arguments_and_values_that_fell_are_named() -> None:
    """An argument that is no longer passed is named once; of others, the values that are no longer passed."""
    before = [argument("id"), argument("limit"), argument("state", ("open", 1), ("all",)), argument("gone")]
    after = [argument("id"), argument("limit", passed=False), argument("state", ("open",), ("all", 1.0))]
    base, head = (Coverage((ToolCoverage("get", 1, 0, tuple(one)),)) for one in (before, after))
    assert compare_coverage(base, head).arguments == (
        LostArgument("get", "limit"),
        LostArgument("get", "state", (1.0,)),
    )
    assert not compare_coverage(head, base)


def test_lines_name_what_fell() -> None:
    """The text has the shares, and a line for each kind of loss."""
    diff = CoverageDiff(
        Share(3, 3),
        Share(1, 4),
        ("put", "x\x1b[0m"),
        (LostArgument("get", "limit"), LostArgument("get", "state", ("open",))),
        ("refund",),
    )
    assert ["".join(text for text, _ in line) for line in coverage_lines(diff)] == [
        "~ coverage  3 of 3 tools (100 %) → 1 of 4 tools (25 %)",
        "    ~ no longer covered: put, x\\x1b[0m",
        '    ~ no longer exercised: get limit, get state = "open"',
        "    ~ new tools without a query: refund",
    ]
    assert list(coverage_lines(None)) == []
