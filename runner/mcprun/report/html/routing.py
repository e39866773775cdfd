"""The routing of a run's page: the figures, a table of the tools, and the confusion matrix as a heat map. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from mcprun._util.json_value import JsonObject
from mcprun.analysis.routing.matrix import Label, Rate, RoutingMatrix, label
from mcprun.analysis.routing.measure import routed_turn, routing_of
from mcprun.report.html.names import bounded_name
from mcprun.report.routing import interval_text, name_text, percent, rate_text, sentences, worst_first
from mcprun.report.text import plural, visible
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import Transcript

_TOOLS = 100
"""Maximum number of tools in the table."""

_LABELS = 40
"""Maximum number of rows, and of columns, of the heat map."""

_SHORT = 22
"""Maximum number of characters of a heading of the heat map, of which both ends are kept."""

_SHADES = 5
_UNRESERVED = "!'()*,"
"""Characters that the page's script leaves as they are in an address, and `quote` does not."""


@dataclass(frozen=True, slots=True)
class RateCell:
    """A rate of the table: its text, empty of nothing, and whether it is below 100 %."""

    name: str
    text: str
    is_low: bool


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool of the table. `link` leads to the queries whose first turn calls it."""

    name: str
    link: str
    rates: tuple[RateCell, ...]


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A cell of the heat map: a count, a shade from 0 to 5, and a link to its queries; no text if it is empty."""

    text: str
    title: str
    shade: int
    is_right: bool
    link: str


@dataclass(frozen=True, slots=True)
class Heading:
    """The name of a row or a column of the heat map, and a `short` one that fits there."""

    name: str
    short: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A row of the heat map: what was expected, a link to the queries that expect it, and a cell for each column."""

    heading: Heading
    link: str
    cells: tuple[MatrixCell, ...]


@dataclass(frozen=True, slots=True)
class RoutingView:
    """The section of a page.

    `figure` is the accuracy, `right` what it is made of. `facts` are the other sentences. `columns` are what was
    called. `left_out` is what the heat map leaves out, empty if that is nothing.
    """

    figure: str
    right: str
    inputs: str
    inputs_of: str
    facts: tuple[str, ...]
    tools: tuple[ToolRow, ...]
    more: int
    columns: tuple[Heading, ...]
    rows: tuple[MatrixRow, ...]
    left_out: str


class RoutingRows:
    """Collects the first turns of the rows of a routed run."""

    def __init__(self, record: RunRecord | None = None) -> None:
        self._routing = routing_of((), record)
        self._labels: dict[str, int] = {}
        self._rows: list[tuple[int, int] | None] = []

    def add(self, transcript: Transcript) -> None:
        """Add the next row."""
        self._routing.add(transcript)
        is_graded = transcript.routed is not None and not transcript.error
        turn = routed_turn(transcript) if is_graded else None
        self._rows.append((self._index(label(turn.expected)), self._index(label(turn.called))) if turn else None)

    def data(self) -> JsonObject:
        """Return what the table is filtered by: `labels`, and for each of `rows` the expected and the called one."""
        return {"labels": list(self._labels), "rows": self._rows}

    def view(self) -> RoutingView:
        """Return the section."""
        matrix = self._routing.matrix
        _, *facts = sentences(self._routing)
        tools = worst_first(matrix)
        kept = _kept(matrix)
        columns = [one for one in matrix.columns if one in kept]
        return RoutingView(
            figure="" if matrix.accuracy.share is None else percent(matrix.accuracy.share),
            right=f"{rate_text(matrix.accuracy)} right{interval_text(matrix.accuracy)}"
            if matrix.graded
            else "No query was graded",
            inputs="" if matrix.inputs.share is None else percent(matrix.inputs.share),
            inputs_of=f"{matrix.inputs.done:,} of {matrix.inputs.total:,} calls of the expected tool",
            facts=tuple(facts),
            tools=tuple(
                ToolRow(label_name((one.tool, True)), _link("tool", (one.tool, True)), tuple(_rates(one.rates)))
                for one in tools[:_TOOLS]
            ),
            more=max(0, len(tools) - _TOOLS),
            columns=tuple(map(_heading, columns)),
            rows=tuple(_row(matrix, row, columns) for row in matrix.rows if row in kept),
            left_out=_left_out(matrix, kept),
        )

    def _index(self, one: Label) -> int:
        return self._labels.setdefault(label_name(one), len(self._labels))


def label_name(one: Label) -> str:
    """Return a label as the page names it. No tool and several are in brackets, which then no tool begins with."""
    name, is_tool = one
    if not is_tool:
        return f"({name})"
    return visible(bounded_name(f"tool {name}" if name.startswith("(") else name))


def _heading(one: Label) -> Heading:
    name = label_name(one)
    return Heading(name, name_text(name, _SHORT))


def _kept(matrix: RoutingMatrix) -> frozenset[Label]:
    """Return the labels of the heat map: those with most confusions, then with most queries."""
    confused, queries = Counter[Label](), Counter[Label]()
    for (row, column), count in matrix.cells.items():
        for one in {row, column}:
            queries[one] += count
            confused[one] += count if row != column else 0
    ordered = sorted(queries, key=lambda one: (-confused[one], -queries[one], one))
    return frozenset(ordered[:_LABELS])


def _left_out(matrix: RoutingMatrix, kept: frozenset[Label]) -> str:
    left = {*matrix.rows, *matrix.columns} - kept
    count = sum(count for cell, count in matrix.cells.items() if not kept.issuperset(cell))
    if not left:
        return ""
    tools = plural(len(left), "tool")
    return f"{tools} with fewer confusions and queries left out, and with them {plural(count, 'query')}"


def _rates(rates: Sequence[Rate]) -> Iterator[RateCell]:
    for name, rate in zip(("precision", "recall", "inputs right"), rates, strict=True):
        text = "" if rate.share is None else f"{percent(rate.share)} ({rate.done:,}/{rate.total:,})"
        yield RateCell(name, text, rate.done < rate.total)


def _row(matrix: RoutingMatrix, row: Label, columns: Sequence[Label]) -> MatrixRow:
    total = sum(count for (one, _), count in matrix.cells.items() if one == row)
    expected = _link("expected", row)
    return MatrixRow(
        _heading(row), expected, tuple(_cell(matrix.cells.get((row, one), 0), total, row, one) for one in columns)
    )


def _cell(count: int, total: int, row: Label, column: Label) -> MatrixCell:
    if not count:
        return MatrixCell("", "", 0, row == column, "")
    name, called = label_name(row), label_name(column)
    title = f"expected {name}, called {called}: {count:,} of {plural(total, 'query')}"
    link = f"{_link('expected', row)}&called={_quoted(column)}"
    return MatrixCell(f"{count:,}", title, math.ceil(_SHADES * count / total), row == column, link)


def _link(key: str, one: Label) -> str:
    return f"#{key}={_quoted(one)}"


def _quoted(one: Label) -> str:
    return quote(label_name(one), safe=_UNRESERVED)
