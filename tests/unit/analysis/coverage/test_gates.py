"""The gates of a coverage name what is missing."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.analysis.coverage.coverage import Coverage, Share, ToolCoverage
from mcprun.analysis.coverage.gates import CoverageGates, evaluate_gates, missing_tools, percent

TOOLS = (
    ToolCoverage("add", calls=3),
    ToolCoverage("drop"),
    ToolCoverage("get", calls=2, errors=1),
    ToolCoverage("put", calls=2, errors=2),
    ToolCoverage("odd", unusable="is left out: inputSchema is missing"),
)

states = st.sampled_from([(0, 0), (1, 0), (1, 1), (2, 1)])
coverages = st.dictionaries(st.sampled_from("abcdefg"), states).map(
    lambda found: Coverage(tuple(ToolCoverage(name, *counts) for name, counts in sorted(found.items())))
)
gates_of_any_kind = st.builds(
    CoverageGates,
    min_coverage=st.none() | st.floats(0, 1),
    require=st.lists(st.sampled_from("abx"), max_size=2).map(tuple),
    waive=st.lists(st.sampled_from(["a", "[b-d]", "e*", "?"]), max_size=2).map(tuple),
)


def result_of(*tools: ToolCoverage, **gates: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = evaluate_gates(Coverage(tools), CoverageGates(**gates))
    return found.failures, found.notes


@given(coverages, gates_of_any_kind)
def test_gates_are_met_exactly_if_nothing_is_missing(coverage: Coverage, gates: CoverageGates) -> None:
    """There is a failure if the share of tools that are not waived is too low, or a required tool is not covered."""
    found = evaluate_gates(coverage, gates)
    waived = gates.waives(coverage)
    counted = [tool for tool in coverage.tools if tool.name not in waived]
    covered = [tool for tool in counted if tool.is_covered]
    assert found.covered == Share(len(covered), len(counted))
    is_enough = not gates.min_coverage or (
        bool(counted) and Fraction(len(covered), len(counted)) >= Fraction(gates.min_coverage) - Fraction(1, 10**9)
    )
    names = {tool.name for tool in coverage.tools if tool.is_covered}
    assert bool(found.failures) == (not is_enough or not names.issuperset(gates.require))


@given(st.integers(1, 400), st.data())
def test_share_of_whole_tools_is_met_despite_binary_fractions(total: int, data: st.DataObject) -> None:
    """If `done` of `total` tools are required, `done` tools are enough and one less is not."""
    done = data.draw(st.integers(1, total))
    gates = CoverageGates(done / total)

    def is_met(count: int) -> bool:
        tools = [ToolCoverage(f"t{number}", calls=int(number < count)) for number in range(total)]
        return not evaluate_gates(Coverage(tuple(tools)), gates).failures

    assert (is_met(done), is_met(done - 1)) == (True, False)


def test_low_coverage_names_the_tools() -> None:
    """The message says what is missing, and why."""
    assert result_of(*TOOLS, min_coverage=0.9)[0] == (
        "coverage is below --min-coverage 0.9: 2 of 5 tools (40 %); not called: drop, odd; only failed: put",
    )


def test_waived_tools_do_not_count() -> None:
    """Waiving all that is missing meets the gate. Waived names are not named again."""
    assert result_of(*TOOLS, min_coverage=1, waive=("d*", "odd", "put")) == ((), ("waived, but called: put",))
    (failure,), _ = result_of(*TOOLS, min_coverage=0.9, waive=("d*", "put"))
    assert failure == "coverage is below --min-coverage 0.9: 2 of 3 tools (66.6 %); not called: odd"


def test_required_tool_says_why_it_is_not_covered() -> None:
    """A required tool may be missing, misspelt, unusable, or have failed. Waiving it does not help."""
    assert result_of(*TOOLS, require=("drop", "put", "odd", "ad", "add", "zzz", "drop"), waive=("drop",))[0] == (
        "--require drop: it is not covered, since no call reached it",
        "--require put: it is not covered, since all of its 2 calls failed",
        "--require odd: it is not covered, since no call reached it: it is left out: inputSchema is missing",
        "--require ad: the server lists no such tool; did you mean 'add'?",
        "--require zzz: the server lists no such tool",
    )


def test_needless_waivers_are_noted() -> None:
    """A waived tool that is called, and a pattern that matches nothing, are reported and fail nothing."""
    assert result_of(*TOOLS, waive=("add", "get", "gone*", "[")) == (
        (),
        (
            "waived, but called: add, get",
            "--waive gone* matches no tool of the server",
            "--waive [ matches no tool of the server",
        ),
    )


def test_exact_name_is_waived_before_a_pattern() -> None:
    """`a[1]` waives the tool of that name, as in `--allow-tool`."""
    tools = (ToolCoverage("a[1]"), ToolCoverage("a1"))
    assert CoverageGates(waive=("a[1]",)).waives(Coverage(tools)) == {"a[1]"}


def test_nothing_to_cover_is_below_any_share() -> None:
    """A gate is not met by a server that lists nothing, nor by waiving everything."""
    assert result_of(min_coverage=0.1)[0] == ("no tool counts for --min-coverage 0.1: the server lists none",)
    assert result_of(min_coverage=0)[0] == ()
    assert result_of(TOOLS[0], min_coverage=0.5, waive=("*",))[0] == (
        "no tool counts for --min-coverage 0.5: the server lists none that is not waived",
    )


def test_share_and_blank_names_are_shown_as_they_are() -> None:
    """A share just below 1 is not shown as 1, and a name of spaces is quoted."""
    coverage = Coverage(tools=(ToolCoverage("  "),))
    (failure,) = evaluate_gates(coverage, CoverageGates(0.9999999)).failures
    assert failure == "coverage is below --min-coverage 0.9999999: 0 of 1 tool (0 %); not called: '  '"


def test_long_name_leaves_room_for_the_others() -> None:
    """A name of thousands of characters is cut."""
    assert missing_tools([ToolCoverage("x" * 5_000), ToolCoverage("b")]) == f"not called: {'x' * 59}…, b"


def test_name_in_another_normal_form_is_distinguished() -> None:
    """`é` can be one character or two, which look the same in a message."""
    coverage = Coverage(tools=(ToolCoverage("cafe\u0301", 1),))
    (failure,) = evaluate_gates(coverage, CoverageGates(require=("caf\u00e9",))).failures
    assert failure == (
        "--require caf\u00e9: the server lists no such tool, but one in another Unicode normal form, which looks the same:"
        " 'cafe\\u0301', not 'caf\\xe9'"
    )


def test_long_lists_are_cut() -> None:
    """A message names ten tools at most."""
    tools = [ToolCoverage(f"t{number:02}") for number in range(25)]
    assert result_of(*tools, min_coverage=1)[0][0].endswith("t08, t09 and 15 more")


@pytest.mark.parametrize(
    ("done", "total", "expected"),
    [
        (0, 0, "0 %"),
        (2, 3, "66.6 %"),
        (999, 1000, "99.9 %"),
        (99999, 100000, "99.9 %"),
        (5, 5, "100 %"),
        (1, 4, "25 %"),
    ],
)
def test_percentages_are_not_rounded_up(done: int, total: int, expected: str) -> None:
    """A share below a gate never looks as if it were met."""
    assert percent(Share(done, total)) == expected
