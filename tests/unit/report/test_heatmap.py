"""The heat map of tools: outcomes, shades, order and bounds."""

from __future__ import annotations

from array import array
from urllib.parse import unquote

import pytest

from mcprun.report.html.heatmap import HeatMap, ToolOutcomes
from mcprun.report.timings import ToolTimes
from mcprun.runs.transcript import Transcript
from tests.support.runs import call, transcript

OK = call("stock", "3")
ERROR = call("stock", "no", is_error=True)
LATE = call("refund", "No answer", is_error=True, problem="timeout")
OTHER = call("refund", "1", diverged=True)
OTHER_ERROR = call("refund", "1", is_error=True, diverged=True)


def outcomes_of(*transcripts: Transcript) -> ToolOutcomes:
    """Return the outcomes of these rows."""
    outcomes = ToolOutcomes()
    for one in transcripts:
        outcomes.add(one)
    return outcomes


def texts(shown: HeatMap) -> dict[str, dict[str, str]]:
    """Return the text of each cell by tool and column."""
    return {
        line.name: {column: cell.text for column, cell in zip(shown.columns, line.cells, strict=True)}
        for line in shown.lines
    }


def test_each_call_has_one_outcome_and_may_have_diverged() -> None:
    """A call is ok, an error or timed out; whether it diverged is counted besides."""
    shown = outcomes_of(transcript("a", OK, OK, ERROR), transcript("b", LATE, OTHER, OTHER_ERROR)).heat_map({})
    assert {name: {column: cells[column] for column in shown.columns[:-1]} for name, cells in texts(shown).items()} == {
        "refund": {"calls": "3", "ok": "1", "error": "1", "timeout": "1", "diverged": "2"},
        "stock": {"calls": "3", "ok": "2", "error": "1", "timeout": "0", "diverged": "0"},
    }
    assert [line.name for line in shown.lines] == ["refund", "stock"]


def test_columns_that_nothing_is_in_are_left_out() -> None:
    """Time-outs, divergences and times have columns only if there are any."""
    assert outcomes_of(transcript("a", OK)).heat_map({}).columns == ("calls", "ok", "error", "size")
    times = {"stock": ToolTimes(0, array("d", [0.5]))}
    assert outcomes_of(transcript("a", OK)).heat_map(times).columns == ("calls", "ok", "error", "p50", "p95", "size")
    assert outcomes_of(transcript("a")).heat_map({}).lines == ()


def test_a_row_keeps_the_outcomes_of_its_tools_unless_all_are_ok() -> None:
    """They are sums of 1 (ok), 2 (error), 4 (timeout) and 8 (diverged), in the order of the tools' first calls."""
    outcomes = outcomes_of(transcript("a", OK), transcript("b", ERROR, OK, LATE, OTHER_ERROR), transcript("c", OTHER))
    assert outcomes.by_row == {"1": [3, 14], "2": [9]}


def test_cells_link_to_the_queries_that_they_count() -> None:
    """A link names the tool and the outcome. Cells that count nothing have none."""
    odd = call("a&b=c #d\x1b", "x", is_error=True)
    (line,) = outcomes_of(transcript("a", odd)).heat_map({}).lines
    assert [cell.link for cell in line.cells] == ["", "", f"{line.link}&outcome=error", ""]
    assert "&" not in line.link.removeprefix("#tool=")
    assert unquote(line.link) == r"#tool=a&b=c #d\x1b"


def test_shades_follow_the_share_and_the_order_of_magnitude() -> None:
    """Counts are shaded by their share of the tool's calls; times and sizes from the smallest to the largest."""
    calls_made = [call("slow", "x" * 10_000), *[call("quick", "x")] * 9, call("quick", "x", is_error=True)]
    times = {"slow": ToolTimes(0, array("d", [10.0])), "quick": ToolTimes(0, array("d", [0.001] * 10))}
    shown = outcomes_of(transcript("a", *calls_made)).heat_map(times)
    shades = {line.name: [cell.shade for cell in line.cells] for line in shown.lines}
    assert shades == {"quick": [0, 5, 1, 1, 1, 1], "slow": [0, 5, 0, 5, 5, 5]}
    assert texts(shown)["slow"]["size"] == "10.0 kB"


def test_a_long_list_is_bounded() -> None:
    """At most 30 tools are listed, those with errors first, and the rest is counted."""
    calls_made = [call(f"tool-{at:02}", "x", is_error=at == 39) for at in range(40)]
    shown = outcomes_of(transcript("a", *calls_made)).heat_map({})
    assert (len(shown.lines), shown.lines[0].name, shown.more) == (30, "tool-39", 10)


@pytest.mark.parametrize("name", ["", "x" * 5000, "\ud800", "\u202eevil", "</a>"])
def test_any_name_of_a_tool_can_be_listed(name: str) -> None:
    """Names are bounded and visible."""
    (line,) = outcomes_of(transcript("a", call(name, "x"))).heat_map({}).lines
    assert len(line.name) <= 301
    assert line.name.isprintable()
