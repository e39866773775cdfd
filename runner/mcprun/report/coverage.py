"""The coverage of a server's surface as text: one line for summaries, and a table for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mcprun.analysis.coverage.coverage import (
    ArgumentCoverage,
    Coverage,
    ItemCoverage,
    Share,
    ToolCoverage,
    ToolState,
)
from mcprun.analysis.coverage.gates import CoverageGates, GateResult, missing_tools, percent
from mcprun.analysis.coverage.measure import measure_coverage
from mcprun.errors import UsageError
from mcprun.report.styles import AMBER
from mcprun.report.text import one_line, plural
from mcprun.runs.run import Run

_NAME = 60
"""Maximum characters of a tool's name, an argument's path, a prompt's name or a resource's URI."""

_LEAST = 12
"""Minimum columns of a tool's name in the table."""

_COUNTS = 36
"""Columns that the table takes beside its first and its last column of text."""

_LEAST_TEXT = 15
"""Minimum columns of the last column of text."""

_VALUE = 30
"""Maximum characters of a value of an argument."""

_VALUES = 5
"""Maximum values of an argument that are listed."""

_ARGUMENTS = 8
"""Maximum arguments of a tool that are listed."""

_NAMES = 10
"""Maximum names that a line lists."""

_SENTENCE = 500
"""Maximum characters of a sentence about a gate."""

_STYLES = {ToolState.COVERED: "green", ToolState.FAILED: "red", ToolState.UNCALLED: AMBER}
_MARKS = {ToolState.COVERED: "✓", ToolState.FAILED: "✗", ToolState.UNCALLED: "○"}
_WORDS = {ToolState.COVERED: "covered", ToolState.FAILED: "only failed", ToolState.UNCALLED: "not called"}


def summary(coverage: Coverage) -> str:
    """Return the coverage in one line, without the tools that are missing: `2 of 3 tools (66.6 %), 4 of 9 arguments`.

    Empty if the server lists no tools.
    """
    tools = coverage.covered
    if not tools.total:
        return ""
    parts = [f"{tools.done:,} of {plural(tools.total, 'tool')} ({percent(tools)})"]
    parts += [f"{share.done:,} of {plural(share.total, noun)}" for share, noun in _details(coverage) if share.total]
    return ", ".join(parts)


def summary_line(coverage: Coverage, waive: Sequence[str] = ()) -> str:
    """Return the coverage in one line for the end of a run, with the tools that are missing; empty without tools.

    Tools that are waived do not count.
    """
    counted = coverage.without(CoverageGates(waive=tuple(waive)).waives(coverage))
    parts = [summary(counted), missing_tools(counted.tools), _waived(coverage, counted)]
    return one_line(f"Coverage: {'; '.join(filter(None, parts))}", _SENTENCE) if coverage.tools else ""


def line_of(run: Run) -> str:
    """Return the coverage of a run in one line for summaries; empty if nothing was run, or it can't be read."""
    if run.record.route or not run.counts.done or run.record.server is None:
        return ""
    waive = run.record.coverage.waive if run.record.coverage else ()
    with suppress(UsageError):  # a full disk may have cut the transcripts off
        return summary_line(measure_coverage([run]), waive)
    return ""


def state_text(tool: ToolCoverage) -> str:
    """Return how far a tool was exercised: `covered`, `only failed`, `not called`."""
    return _WORDS[tool.state]


def missing_text(tool: ToolCoverage) -> str:
    """Return what calls have not exercised of a tool, in one line: `limit; state: "closed", "all"`.

    Of a tool that is not covered, return why.
    """
    if tool.state is not ToolState.COVERED:
        return "; ".join([state_text(tool), *([one_line(tool.unusable, _SENTENCE)] if tool.unusable else [])])
    missing = [one for one in tool.arguments if not one.exercised or one.unseen]
    parts = [_argument(one) for one in missing[:_ARGUMENTS]]
    if more := len(missing) - _ARGUMENTS:
        parts += [f"{more:,} more"] if more > 0 else []
    return "; ".join(parts)


def tools_in_order(coverage: Coverage, waived: Iterable[str] = ()) -> list[ToolCoverage]:
    """Return the tools for a table: those that are missing first, then the covered ones, then the waived ones."""
    last = frozenset(waived)
    order = {ToolState.UNCALLED: 0, ToolState.FAILED: 1, ToolState.COVERED: 2}
    return sorted(coverage.tools, key=lambda tool: (tool.name in last, order[tool.state]))


def share_text(share: Share) -> str:
    """Return a share for a cell of a table: `2/3`; empty if there is nothing to cover."""
    return f"{share.done:,}/{share.total:,}" if share.total else ""


def arguments_of(tool: ToolCoverage) -> Share:
    """Return the share of a tool's arguments that were exercised."""
    return Share(len(tool.arguments) - len(tool.unexercised), len(tool.arguments))


def values_of(tool: ToolCoverage) -> Share:
    """Return the share of the values of a tool's arguments that were exercised."""
    seen = sum(len(one.seen) for one in tool.arguments)
    return Share(seen, seen + sum(len(one.unseen) for one in tool.arguments))


def rows(coverage: Coverage, gates: CoverageGates, result: GateResult, width: int) -> Iterator[RenderableType]:
    """Lay out a coverage for a terminal `width` columns wide: the tools, what else is known, and the gates."""
    waived = gates.waives(coverage)
    if coverage.tools:
        yield _table(coverage, waived, width)
    for lead, text in facts(coverage):
        yield Text.assemble((f"{lead}: ", "bold"), text)
    for note in result.notes:
        yield Text(f"Note: {one_line(note, _SENTENCE)}", AMBER)
    for failure in result.failures:
        yield Text(f"● {one_line(failure, _SENTENCE)}", "red")
    yield Text(last_line(coverage, gates, result), "bold red" if result.failures else "bold")


def last_line(coverage: Coverage, gates: CoverageGates, result: GateResult) -> str:
    """Return the coverage without waived tools in one line, and whether the gates are met."""
    counted = coverage.without(gates.waives(coverage))
    parts = [summary(counted), _waived(coverage, counted)]
    text = f"Coverage: {'; '.join(filter(None, parts)) or 'the server lists no tools'}"
    if result.failures:
        return f"{text}: FAILED"
    return f"{text}: passed" if gates.min_coverage is not None or gates.require else text


def facts(coverage: Coverage) -> Iterator[tuple[str, str]]:
    """Yield what is known beside the tools, as pairs of a heading and a text."""
    if coverage.without_error:
        yield "Error path never seen", _listed(coverage.without_error)
    listed = {
        "Prompts": coverage.prompts,
        "Resources": coverage.resources,
        "Resource templates": coverage.resource_templates,
    }
    for label, items in listed.items():
        if items:
            yield label, _items(items)
    if coverage.unlisted:
        yield "Calls of tools that are not listed", _counted(coverage.unlisted)
    if coverage.unsent:
        yield "Calls that were not sent", _counted(coverage.unsent)


def _waived(coverage: Coverage, counted: Coverage) -> str:
    waived = len(coverage.tools) - len(counted.tools)
    return f"{waived:,} waived" if waived else ""


def _details(coverage: Coverage) -> Iterator[tuple[Share, str]]:
    yield coverage.arguments, "argument"
    yield coverage.values, "value"


def _table(coverage: Coverage, waived: frozenset[str], width: int) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    names = {tool.name: one_line(tool.name, _NAME) or repr(tool.name) for tool in coverage.tools}
    longest = max(map(cell_len, names.values()))
    table.add_column("", no_wrap=True)
    # The widths of both columns of text, since rich would shrink both in proportion to their contents.
    name_width = min(longest, max(_LEAST, width - _COUNTS - _LEAST_TEXT))
    table.add_column("tool", overflow="fold", min_width=name_width, max_width=name_width)
    shares = {"args": arguments_of, "values": values_of}
    shown = {name: share for name, share in shares.items() if any(share(tool).total for tool in coverage.tools)}
    for name in ("calls", "failed", *shown):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("not exercised", overflow="fold", max_width=max(_LEAST_TEXT, width - _COUNTS - name_width))
    for tool in tools_in_order(coverage, waived):
        is_waived = tool.name in waived
        style = "dim" if is_waived else _STYLES[tool.state]
        missing = missing_text(tool)
        table.add_row(
            Text("-" if is_waived else _MARKS[tool.state], style),
            Text(names[tool.name], style),
            f"{tool.calls:,}",
            f"{tool.errors:,}",
            *(share_text(share(tool)) for share in shown.values()),
            Text("; ".join(filter(None, ["waived" if is_waived else "", missing])), "dim" if is_waived else ""),
        )
    return table


def _argument(argument: ArgumentCoverage) -> str:
    """Return what is not exercised of an argument: its path, and values of it if others were."""
    path = one_line(argument.path, _NAME)
    if not argument.exercised or not argument.unseen:
        return path
    values = [value_text(value) for value in argument.unseen[:_VALUES]]
    more = len(argument.unseen) - _VALUES
    return f"{path}: {', '.join(values)}{f' and {more:,} more' if more > 0 else ''}"


def value_text(value: Any) -> str:
    """Return a listed value of an argument as JSON, shortened."""
    return one_line(json.dumps(value, ensure_ascii=False), _VALUE)


def _items(items: Sequence[ItemCoverage]) -> str:
    done = Share(sum(one.is_covered for one in items), len(items))
    missing = [one.name for one in items if not one.is_covered]
    text = f"{done.done:,} of {done.total:,} ({percent(done)})"
    return f"{text}; not used: {_listed(missing)}" if missing else text


def _counted(counts: Mapping[str, int]) -> str:
    return _listed([f"{name} ({count:,})" for name, count in counts.items()])


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    text = ", ".join(one_line(name, _NAME) or repr(name) for name in names[:_NAMES])
    return f"{text} and {more:,} more" if more > 0 else text
