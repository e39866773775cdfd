"""The table of `mcprun coverage` fits the terminal, and shows no controls of a server."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mcprun.analysis.coverage.coverage import ArgumentCoverage, Coverage, ItemCoverage, ToolCoverage
from mcprun.analysis.coverage.gates import CoverageGates, evaluate_gates
from mcprun.report.coverage import facts, missing_text, rows, summary_line
from mcprun.report.coverage_markdown import markdown

ARGUMENTS = (
    ArgumentCoverage("id", exercised=True),
    ArgumentCoverage("a_rather_long_name_of_an_argument", exercised=False),
    ArgumentCoverage("state", True, "enum", ("open",), tuple(f"value {number}" for number in range(9))),
)
COVERAGE = Coverage(
    (
        ToolCoverage("add", 3, 1, ARGUMENTS),
        ToolCoverage("a_tool_with_a_name_that_is_longer_than_most", 1, 0, ARGUMENTS),
        ToolCoverage("evil\x1b[31m\u202e", unusable="is left out: inputSchema is missing"),
        ToolCoverage("put", 2, 2),
    ),
    prompts=(ItemCoverage("summary", 1), ItemCoverage("review", 1, 1)),
    unsent={"drop": 2},
)


def printed(width: int, **gates: float) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    limits = CoverageGates(**gates)  # type: ignore[arg-type]
    for row in rows(COVERAGE, limits, evaluate_gates(COVERAGE, limits), width):
        console.print(row)
    file = console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_table_fits_the_terminal_and_loses_nothing(width: int) -> None:
    """Names and texts are folded, not cut off, however narrow the terminal is."""
    lines = printed(width)
    assert max(map(len, lines)) <= width
    head = next(line for line in lines if " calls " in line)
    start, end = head.index("tool"), head.index("calls") - 1
    names = "".join(line[start:end].strip() for line in lines)
    assert "a_tool_with_a_name_that_is_longer_than_most" in names
    last = head.index("values") + len("values")
    assert "inputSchemaismissing" in "".join("".join(line[last:].split()) for line in lines)


def test_controls_of_a_server_are_escaped() -> None:
    """A tool's name can't colour the terminal or reverse its text."""
    text = "\n".join(printed(200, min_coverage=1.0))
    assert r"evil\x1b[31m\u202e" in text
    assert "\x1b" not in text
    assert "\u202e" not in text + summary_line(COVERAGE)


def test_missing_values_are_named_up_to_a_few() -> None:
    """Arguments that were not passed come with their path, others with the values that are missing."""
    assert missing_text(COVERAGE.tools[0]) == (
        'a_rather_long_name_of_an_argument; state: "value 0", "value 1", "value 2", "value 3", "value 4" and 4 more'
    )
    assert missing_text(COVERAGE.tools[2]) == "not called; is left out: inputSchema is missing"


def test_what_is_known_beside_the_tools_is_listed() -> None:
    """Prompts, calls that were not sent, and the last line with the outcome."""
    assert printed(200, min_coverage=0.9)[-5:] == [
        "Error path never seen: a_tool_with_a_name_that_is_longer_than_most",
        "Prompts: 1 of 2 (50 %); not used: review",
        "Calls that were not sent: drop (2)",
        "● coverage is below --min-coverage 0.9: 2 of 4 tools (50 %); not called: evil\\x1b[31m\\u202e; only failed: put",
        "Coverage: 2 of 4 tools (50 %), 4 of 6 arguments, 2 of 20 values: FAILED",
    ]


def test_blank_name_is_quoted_everywhere() -> None:
    """A tool whose name is all spaces has a visible name in the table, the lists and Markdown."""
    coverage, gates = Coverage(tools=(ToolCoverage("  ", 1),)), CoverageGates()
    result = evaluate_gates(coverage, gates)
    assert "| ✅ | <code>' '</code> | 1 |" in markdown(coverage, gates, result)
    assert dict(facts(coverage)) == {"Error path never seen": "'  '"}
