"""Routing as text: how often the model picks the right tool, by tool, and which tools it takes for which."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mcprun.analysis.routing.definitions import DefinitionTokens
from mcprun.analysis.routing.matrix import Label, Rate, RoutingMatrix, ToolRouting
from mcprun.analysis.routing.measure import Routing
from mcprun.report.styles import AMBER
from mcprun.report.text import one_line, plural
from mcprun.report.wrapping import print_hanging

_NAME = 32
"""Maximum characters of a tool's name, of which both ends are kept: names of a server often begin alike."""

_WIDTH = 79
"""Maximum width of a matrix in the terminal. Of a larger one, the most frequent confusions are listed."""

_LEAD = "Routing: "
_CORNER = "expected ↓  called →"
_GAP = 3
"""Columns between two columns of a table."""

_LONG = 200
"""Maximum characters of a tool's name that are read to shorten it."""

_CONFUSIONS = 10
"""Maximum confusions that are listed."""

TOOLS = 12
"""Maximum tools that are listed: those with the most wrong turns."""


def sentences(routing: Routing) -> Iterator[str]:
    """Yield what a routed run found, in sentences without a full stop: the accuracy first."""
    matrix = routing.matrix
    accuracy = f"{rate_text(matrix.accuracy)} right{interval_text(matrix.accuracy)}"
    yield accuracy if matrix.graded else "no query was graded"
    if routing.errors:
        yield f"{plural(routing.errors, 'query')} ended in an error"
    if matrix.inputs.total:
        yield f"inputs right given the tool: {rate_text(matrix.inputs)}"
    if routing.definitions.per_request:
        yield definitions_text(routing.definitions)
    if routing.ungraded:
        yield f"not graded: {plural(routing.ungraded, 'query')} without expect.calls, or with vars from steps"
    if routing.unused:
        names = ", ".join(f"{name} of {plural(count, 'query')}" for name, count in sorted(routing.unused.items()))
        yield f"not checked, since no call is made: {names}"


def definitions_text(definitions: DefinitionTokens) -> str:
    """Return what definitions cost: `definitions: 3,412 tokens per request, of which decoys 2,200`."""
    decoys = f", of which decoys {definitions.decoys_per_request:,}" if definitions.decoys_per_request else ""
    return f"definitions: {definitions.per_request:,} tokens per request{decoys}"


def rate_text(rate: Rate) -> str:
    """Return a rate: `62 of 80 (78 %)`."""
    if rate.share is None:
        return "0 of 0"
    return f"{rate.done:,} of {rate.total:,} ({percent(rate.share)})"


def interval_text(rate: Rate) -> str:
    """Return the 95 % confidence interval of a rate: `, 95 % interval 67 to 85 %`; empty of nothing."""
    if rate.interval is None:
        return ""
    low, high = rate.interval
    return f", 95 % interval {100 * low:.0f} to {percent(high)}"


def percent(share: float) -> str:
    """Return a share in per cent; only all is 100 %, and only nothing 0 %."""
    rounded = round(100 * share)
    if rounded in (0, 100) and share not in (0.0, 1.0):
        return f"{'<' if rounded == 0 else '>'} {1 if rounded == 0 else 99} %"
    return f"{rounded} %"


def label_text(label: Label) -> str:
    """Return a label of the matrix. No tool and several tools are in brackets, since a tool may have such a name."""
    name, is_tool = label
    return name_text(name) if is_tool else f"({name})"


def name_text(name: str, most: int = _NAME) -> str:
    """Return a tool's name in one line of at most `most` characters: of a long one, both ends."""
    text = one_line(name, _LONG) or repr(name)
    if len(text) <= most:
        return text
    end = most // 2
    return f"{text[: most - end - 1]}…{text[-end:]}"


def print_routing(routing: Routing, console: Console) -> None:
    """Print the routing of a run to a terminal: sentences, a table of the tools, and the confusion matrix."""
    for lead, sentence in zip(chain([_LEAD], repeat(" " * len(_LEAD))), sentences(routing), strict=False):
        print_hanging(console, lead, Text(sentence))
    for table in _tables(routing.matrix):
        console.print(table, soft_wrap=isinstance(table, Text))


def _tables(matrix: RoutingMatrix) -> Iterator[RenderableType]:
    if matrix.tools:
        yield from (Text(), _tool_table(matrix))
    if matrix.confusions:
        yield from (Text(), _matrix_table(matrix) if _fits(matrix) else _confusion_list(matrix))
    if matrix.tools:
        yield Text()


def _fits(matrix: RoutingMatrix) -> bool:
    """Return whether the matrix fits a narrow terminal."""
    first = max(len(_CORNER), *(len(label_text(row)) for row in matrix.rows))
    return _GAP + first + sum(_GAP + len(label_text(column)) for column in matrix.columns) <= _WIDTH


def _tool_table(matrix: RoutingMatrix) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=True)
    table.add_column("tool", no_wrap=True, overflow="ellipsis")
    for name in ("precision", "recall", "inputs"):
        table.add_column(name, justify="right", no_wrap=True)
    for tool in worst_first(matrix)[:TOOLS]:
        table.add_row(name_text(tool.tool), *(Text(_short(rate), _style(rate)) for rate in tool.rates))
    if (left := len(matrix.tools) - TOOLS) > 0:
        table.add_row(f"… and {plural(left, 'more tool')}")
    return table


def worst_first(matrix: RoutingMatrix) -> Sequence[ToolRouting]:
    """Return the tools, those with the most wrong turns first."""

    def wrong(tool: ToolRouting) -> int:
        return sum(rate.total - rate.done for rate in tool.rates)

    return sorted(matrix.tools, key=lambda one: (-wrong(one), one.tool))


def _short(rate: Rate) -> str:
    return "" if rate.share is None else f"{rate.done:,}/{rate.total:,} {percent(rate.share):>5}"


def _style(rate: Rate) -> str:
    return "" if rate.share is None or rate.done == rate.total else AMBER


def _matrix_table(matrix: RoutingMatrix) -> Table:
    """Return the confusion matrix: a row for what was expected, a column for what was called."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=True)
    table.add_column(_CORNER, no_wrap=True, overflow="ellipsis")
    for column in matrix.columns:
        table.add_column(label_text(column), justify="right", overflow="fold")
    for row in matrix.rows:
        table.add_row(label_text(row), *(_cell(matrix, row, column) for column in matrix.columns))
    return table


def _cell(matrix: RoutingMatrix, row: Label, column: Label) -> Text:
    count = matrix.cells.get((row, column), 0)
    if not count:
        return Text("·", "dim")
    return Text(f"{count:,}", "green" if row == column else AMBER)


def _confusion_list(matrix: RoutingMatrix) -> Text:
    return Text("\n".join(confusions(matrix, _CONFUSIONS)))


def confusions(matrix: RoutingMatrix, most: int) -> Iterator[str]:
    """Yield the `most` frequent confusions, one per line, below a heading; nothing if there are none."""
    found = matrix.confusions
    if not found:
        return
    yield "Expected → called:"
    for row, column, count in found[:most]:
        yield f"{count:>5,} × {label_text(row)} → {label_text(column)}"
    if len(found) > most:
        yield f"… and {plural(len(found) - most, 'more confusion')}: see the page of mcprun report --html"
