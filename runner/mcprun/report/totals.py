"""Lay out the totals of a run for a terminal, however narrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mcprun.report.repeats import percent
from mcprun.report.styles import AMBER, STYLES
from mcprun.report.text import duration
from mcprun.runs.run import Run
from mcprun.runs.totals import cached_share
from mcprun.runs.transcript import Verdict

_ENDLESS = 1_000
"""Width in columns for measuring a table that may be wider than the terminal."""

_NOTHING = "dim"
"""The style of a count of zero."""


class _Cell(NamedTuple):
    """A total: its name, its value as text, and its style."""

    name: str
    value: str
    style: str = ""


def totals(run: Run, console: RichConsole) -> RenderableType:
    """Lay out a run's counts in one row.

    If the console is too narrow, tokens and then the duration move to a line below. Then counts of zero are left out,
    and a row that is still too wide is continued in further rows.
    """
    *counts, elapsed = _counts(run)
    tokens = list(_tokens(run))
    if _fits(row := _row_of([*counts, *tokens, elapsed]), console):
        return row
    above = [cell for cell in counts if cell.style != _NOTHING]
    for cells, below in (([*counts, elapsed], tokens), (counts, [*tokens, elapsed]), (above, [*tokens, elapsed])):
        if _fits(row := _row_of(cells), console):
            text = ", ".join(f"{cell.name} {cell.value}" for cell in below if cell.style != _NOTHING)
            return Group(row, Text(f" {text}")) if text else row
    text = ", ".join(f"{cell.name} {cell.value}" for cell in [*tokens, elapsed] if cell.style != _NOTHING)
    return Group(*map(_row_of, _fitting_rows(above, console)), Text(f" {text}"))


def _fitting_rows(cells: Sequence[_Cell], console: RichConsole) -> Iterator[list[_Cell]]:
    """Yield the cells in rows that fit the console, at least one in each."""
    row: list[_Cell] = []
    for cell in cells:
        if row and not _fits(_row_of([*row, cell]), console):
            yield row
            row = []
        row.append(cell)
    if row:
        yield row


def _row_of(cells: Sequence[_Cell]) -> Table:
    row = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for name, _, style in cells:
        row.add_column(name, justify="right", style=style)
    row.add_row(*(cell.value for cell in cells))
    return row


def _fits(row: Table, console: RichConsole) -> bool:
    return console.measure(row, options=console.options.update(max_width=_ENDLESS)).maximum <= console.width


def _counts(run: Run) -> Iterator[_Cell]:
    """Yield the counts of a run, and its duration last."""
    record, counts = run.record, run.counts
    for verdict in Verdict:
        count = getattr(counts, verdict)
        yield _Cell(str(verdict), f"{count:,}", STYLES[verdict] if count else _NOTHING)
    yield _Cell("calls", f"{counts.calls:,}")
    yield _Cell("tool errors", f"{counts.tool_errors:,}", "red" if counts.tool_errors else _NOTHING)
    if record.model.kind == "replay":
        yield _Cell("diverged", f"{counts.diverged:,}", AMBER if counts.diverged else _NOTHING)
    yield _Cell("turns", f"{counts.turns:,}")
    yield _Cell("run time", duration(record.seconds))


def _tokens(run: Run) -> Iterator[_Cell]:
    """Yield the tokens of a run, if its model reported any, and the share that was read from the prompt cache."""
    usage = run.counts.usage
    if usage is None:
        return
    recorded = "recorded " if run.record.model.kind == "replay" else ""
    yield _Cell(f"{recorded}tokens in/out", f"{usage.read:,} / {usage.output_tokens:,}")
    yield _Cell("cached input", percent(cached_share(usage)))
