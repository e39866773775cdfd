"""The HTML page of a comparison, `mcprun diff BASE HEAD --html FILE`: the differences, and each query side by side.

`Differing` records the differences while the runs are compared. Memory holds a short row for each query that differs.
The page is built afterwards from the transcripts of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.repeats import Variant
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import DiffSummary, QueryDiff, RunDiff
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import Change
from mcprun.errors import describe
from mcprun.report.change_lines import title
from mcprun.report.diff import chance, summary, tool_lines
from mcprun.report.fault_isolation import render_diff
from mcprun.report.html.page import MAX_BYTES, island, page, write_page
from mcprun.report.html.side_by_side import side_by_side
from mcprun.report.html.transcript_pairs import pair_json
from mcprun.report.text import one_line, plural
from mcprun.report.volatile import note_blocks
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import Key
from mcprun.runs.transcript_files import open_single
from mcprun.tools.changes import ToolChange

_SCRIPTS = ("dom.js", "address.js", "table.js", "view.js", "pairs.js", "sides.js", "diff.js", "scrolling.js")
_STYLES = ("page.css", "view.css", "conversation.css", "diff.css")

_COLUMNS = ("id", "repeat", "how", "before", "after", "worse", "changes", "kept")
"""The cells of a row, in order. `worse` is 1 for a regression; `kept` is 1 if the page holds the query's details."""

_CHANGES = 3
"""Maximum number of changes listed in a query's row."""

_MAX_CHANGE_CHARS = 160
"""Maximum number of characters of a change in a row."""

_NAME = 300
"""Maximum number of characters of an id in a row."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: its name, its record if it is a run, and a function that finds transcripts by key."""

    name: str
    record: RunRecord | None
    find: Callable[[Key], JsonObject | None]


@dataclass(frozen=True, slots=True)
class _Row:
    """A query that differs: its cells, the keys of the transcripts to show, and the changes that are not of calls."""

    cells: list[object]
    keys: list[Key | None]
    notes: list[JsonObject]


@dataclass(slots=True)
class Differing:
    """The differences between two runs: those of the servers' `tools`, and a row for each query.

    `volatile` is what the comparison masked, and what looks volatile, once it is finished.
    """

    tools: Sequence[ToolChange] = ()
    volatile: VolatileSummary = field(default_factory=VolatileSummary)
    rows: list[_Row] = field(default_factory=list)

    def collect_rows(self, diffs: Iterable[QueryDiff]) -> Iterator[QueryDiff]:
        """Yield the query differences of a comparison unchanged, and record a row for each."""
        for diff in diffs:
            keys = [None if repeat is None else (diff.id, repeat) for repeat in diff.examples]
            cells, notes = render_diff(diff, _cells_and_notes)
            self.rows.append(_Row(cells, keys, notes))
            yield diff

    def keys(self, side: int) -> set[Key]:
        """Return the keys of the transcripts shown on one side: 0 for BASE, 1 for HEAD."""
        return {key for row in self.rows if (key := row.keys[side])}


def write_diff(
    path: Path, differing: Differing, comparison: RunDiff, base: tuple[str, Run | None], head: tuple[str, Run | None]
) -> int:
    """Write the page of a finished comparison, and return its size in bytes.

    `base` and `head` are each side's name, and its run if it is one. Raises `UsageError` if the page can't be written.
    """
    with (
        open_single(base[0], differing.keys(0)) as find_base,
        open_single(head[0], differing.keys(1)) as find_head,
    ):
        sides = _named(base, find_base), _named(head, find_head)
        return write_page(path, diff_page(differing, comparison.summary, sides, comparison.options.scrubber))


def _named(named_run: tuple[str, Run | None], find: Callable[[Key], JsonObject | None]) -> Side:
    name, run = named_run
    return Side(str(run.path), run.record, find) if run else Side(name, None, find)


def diff_page(
    differing: Differing,
    diff_summary: DiffSummary,
    sides: tuple[Side, Side],
    scrubber: Scrubber,
    max_bytes: int = MAX_BYTES,
) -> Iterator[str]:
    """Yield the page of a comparison in chunks. Parts that `scrubber` removes are not marked as differences.

    The side-by-side views take at most `max_bytes`; other queries have only their row.
    """
    return page(
        "diff.html.jinja",
        _SCRIPTS,
        _STYLES,
        base=sides[0],
        head=sides[1],
        tally=diff_summary,
        summary=summary(diff_summary),
        notes=list(note_blocks(differing.volatile)),
        tools=[("".join(text for text, _ in line).strip(), line[0][1]) for line in tool_lines(differing.tools)][1:],
        islands=_islands(differing, sides, scrubber, max_bytes),
    )


def _islands(differing: Differing, sides: tuple[Side, Side], scrubber: Scrubber, max_bytes: int) -> Iterator[Markup]:
    """Yield the islands of queries, `d-0`, `d-1`, …, as far as there is room, and then the table's island."""
    rows, left = [], max_bytes
    for number, row in enumerate(differing.rows):
        found = [side.find(key) if key else None for side, key in zip(sides, row.keys, strict=True)]
        try:
            one = island(f"d-{number}", pair_json(found[0], found[1], scrubber) | {"notes": row.notes})
        except Exception as error:  # noqa: BLE001  one query must not affect the others
            fault = Change("fault", after=f"cannot render this query: {describe(error)}")
            one = island(f"d-{number}", pair_json(None, None, scrubber) | {"notes": [_note(fault)]})
        size = len(one.encode("utf-8", "backslashreplace"))
        is_kept = size <= left
        if is_kept:
            left -= size
            yield one
        rows.append([*row.cells, int(is_kept)])
    kept = sum(bool(row[-1]) for row in rows)
    note = (
        f"Side-by-side views in this file: {kept:,} of {plural(len(rows), 'query')}. Run mcprun diff to see the others."
    )
    data = {"columns": _COLUMNS, "rows": rows, "names": [side.name for side in sides]}
    yield island("data", data | {"left_out": note if kept < len(rows) else ""})


def _cells_and_notes(diff: QueryDiff) -> tuple[list[object], list[JsonObject]]:
    """Return the cells of a query's row, and its changes other than those of calls."""
    return list(_cells(diff)), [_note(change) for change in diff.changes if change.call is None]


def _cells(diff: QueryDiff) -> Iterator[object]:
    changes = [
        one_line(_change_title(change), _MAX_CHANGE_CHARS) for change in diff.changes if change.what != "verdict"
    ]
    changes += [_variant(variant) for variant in diff.variants]
    changes += [chance(diff)] if diff.p is not None and diff.rates[0] != diff.rates[1] else []
    more = [f"… and {len(changes) - _CHANGES:,} more"] if len(changes) > _CHANGES else []
    rates = [f"{rate.passed:,}/{rate.runs:,}" if rate else None for rate in diff.rates]
    before, after = diff.verdicts if diff.repeat is not None else rates
    yield diff.id if len(diff.id) <= _NAME else f"{diff.id[:_NAME]}…"
    yield diff.repeat or 1
    yield diff.how
    yield before
    yield after
    yield int(diff.is_regression)
    yield [*changes[:_CHANGES], *more]


def _change_title(change: Change) -> str:
    return f"{title(change)}  result" if change.what == "result" else title(change)


def _variant(variant: Variant) -> str:
    changes = "; ".join(_change_title(change) for change in variant.changes)
    return one_line(
        f"new in {plural(variant.runs, 'run')}, for example repeat {variant.repeat}: {changes}", _MAX_CHANGE_CHARS
    )


def _note(change: Change) -> JsonObject:
    return {"what": change.what, "sides": side_by_side(change.before, change.after)}
