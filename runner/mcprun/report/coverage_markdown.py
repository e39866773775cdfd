"""The coverage of a server's surface as Markdown, for a job's summary or a comment."""

from __future__ import annotations

from collections.abc import Iterator

from mcprun.analysis.coverage.coverage import Coverage, ToolState
from mcprun.analysis.coverage.gates import CoverageGates, GateResult
from mcprun.report.coverage import (
    arguments_of,
    facts,
    last_line,
    missing_text,
    share_text,
    tools_in_order,
    values_of,
)
from mcprun.report.markdown_text import cells, code, plain
from mcprun.report.text import plural

_ROWS = 200
"""Maximum tools in the table."""

_NAME = 60
"""Maximum characters of a tool's name."""

_TEXT = 500
"""Maximum characters of a cell or a line."""

_HEAD = ("", "tool", "calls", "failed", "arguments", "values", "not exercised")
_MARKS = {ToolState.COVERED: "✅", ToolState.FAILED: "❌", ToolState.UNCALLED: "⚪"}


def markdown(coverage: Coverage, gates: CoverageGates, result: GateResult) -> str:
    """Return the coverage as Markdown: the totals, the gates that are not met, the tools, and what else is known."""
    return "\n".join(_lines(coverage, gates, result))


def _lines(coverage: Coverage, gates: CoverageGates, result: GateResult) -> Iterator[str]:
    waived = gates.waives(coverage)
    yield f"**{plain(last_line(coverage, gates, result), _TEXT)}**"
    yield from _listed(f"❌ {plain(failure, _TEXT)}" for failure in result.failures)
    yield from _listed(plain(note, _TEXT) for note in result.notes)
    if coverage.tools:
        yield from ("", cells(_HEAD), cells([":-:", "---", "--:", "--:", "--:", "--:", "---"]))
    tools = tools_in_order(coverage, waived)
    for tool in tools[:_ROWS]:
        is_waived = tool.name in waived
        missing = "; ".join(filter(None, ["waived" if is_waived else "", missing_text(tool)]))
        yield cells(
            [
                "" if is_waived else _MARKS[tool.state],
                code(tool.name if tool.name.strip() else repr(tool.name), _NAME),
                f"{tool.calls:,}",
                f"{tool.errors:,}",
                share_text(arguments_of(tool)),
                share_text(values_of(tool)),
                plain(missing, _TEXT),
            ]
        )
    if len(tools) > _ROWS:
        yield f"\n… and {plural(len(tools) - _ROWS, 'more tool')}."
    yield from _listed(f"{lead}: {plain(text, _TEXT)}" for lead, text in facts(coverage))


def _listed(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not number:
            yield ""
        yield f"- {line}"
