"""The HTML page of a comparison, `mcprun diff BASE HEAD --html FILE`: the differences, and each query side by side.

`Differing` records the differences while the runs are compared. Memory holds a short row for each query that differs.
The page is built afterwards from the transcripts of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from markupsafe import Markup

from mcprun._util.json_value import JsonObject
from mcprun.analysis.coverage.changes import CoverageDiff
from mcprun.analysis.diff.groups import Group, Groups, is_worse
from mcprun.analysis.diff.repeats import Variant
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import DiffSummary, MovedRate, QueryDiff, RunDiff
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import Change
from mcprun.analysis.routing.changes import RoutingDiff
from mcprun.errors import describe
from mcprun.report.change_groups import group_title
from mcprun.report.change_lines import has_failed, title
from mcprun.report.diff import chance, moved_lines, summary, tool_lines
from mcprun.report.fault_isolation import render_diff
from mcprun.report.html.coverage_diff import fallen_coverage
from mcprun.report.html.page import MAX_BYTES, island, page, write_page
from mcprun.report.html.routing_diff import routing_changes
from mcprun.report.html.shared_changes import shared_changes
from mcprun.report.html.side_by_side import word_by_word
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

_COLUMNS = ("id", "repeat", "how", "before", "after", "worse", "changes", "groups", "kept")
"""The cells of a row, in order.

`worse` is 1 for a regression. `groups` are the numbers of its groups in the list of changes. `kept` is 1 if the page
holds the query's details.
"""

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
    numbers: list[int]
    verdicts: tuple[str | None, str | None]
    rank: int


@dataclass(slots=True)
class Differing:
    """The differences between two runs: those of the servers' `tools`, a row for each query, and `coverage` that fell.

    `routing` is how the grades of two routed runs differ.
    `volatile` is what the comparison masked, and what looks volatile, once it is finished.
    """

    tools: Sequence[ToolChange] = ()
    volatile: VolatileSummary = field(default_factory=VolatileSummary)
    rows: list[_Row] = field(default_factory=list)
    groups: Groups = field(default_factory=Groups)
    coverage: CoverageDiff | None = None
    routing: RoutingDiff | None = None

    def collect_rows(self, diffs: Iterable[QueryDiff]) -> Iterator[QueryDiff]:
        """Yield the query differences of a comparison unchanged, and record a row for each."""
        for diff in diffs:
            keys = [None if repeat is None else (diff.id, repeat) for repeat in diff.examples]
            cells, notes = render_diff(diff, _cells_and_notes)
            numbers = render_diff(diff, self.groups.add)
            self.rows.append(_Row(cells, keys, notes, numbers, diff.verdicts, _rank(diff)))
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
        return write_page(
            path, diff_page(differing, comparison.summary, sides, comparison.options.scrubber, moved=comparison.moved)
        )


def _named(named_run: tuple[str, Run | None], find: Callable[[Key], JsonObject | None]) -> Side:
    name, run = named_run
    return Side(str(run.path), run.record, find) if run else Side(name, None, find)


def diff_page(
    differing: Differing,
    diff_summary: DiffSummary,
    sides: tuple[Side, Side],
    scrubber: Scrubber,
    max_bytes: int = MAX_BYTES,
    *,
    moved: Sequence[MovedRate] = (),
) -> Iterator[str]:
    """Yield the page of a comparison in chunks. Parts that `scrubber` removes are not marked as differences.

    The side-by-side views take at most `max_bytes`; other queries have only their row. Pass rates that `moved` within
    chance are listed.
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
        coverage=fallen_coverage(differing.coverage),
        routing=routing_changes(differing.routing),
        moved=["".join(text for text, _ in line) for line in moved_lines(moved, diff_summary.chance)],
        regressions=diff_summary.regressions - diff_summary.breaking,
        islands=_islands(differing, sides, scrubber, max_bytes),
    )


def _islands(differing: Differing, sides: tuple[Side, Side], scrubber: Scrubber, max_bytes: int) -> Iterator[Markup]:
    """Yield the islands of queries, `d-0`, `d-1`, …, as far as there is room, and then the table's island."""
    rows, left = [], max_bytes
    listed = shared_changes(differing.groups)
    for number, row in enumerate(sorted(differing.rows, key=lambda row: row.rank)):
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
        rows.append([*row.cells, listed.of(row.numbers, row.verdicts), int(is_kept)])
    kept = sum(bool(row[-1]) for row in rows)
    note = (
        f"Side-by-side views in this file: {kept:,} of {plural(len(rows), 'query')}. Run mcprun diff to see the others."
    )
    names = [side.name for side in sides]
    data = {"columns": _COLUMNS, "rows": rows, "names": names, "groups": listed.items, "more_groups": listed.more}
    yield island("data", data | {"left_out": note if kept < len(rows) else ""})


def _cells_and_notes(diff: QueryDiff) -> tuple[list[object], list[JsonObject]]:
    """Return the cells of a query's row, and its changes other than those of calls."""
    return list(_cells(diff)), [_note(change) for change in diff.changes if change.call is None]


def _cells(diff: QueryDiff) -> Iterator[object]:
    own = Groups()
    own.add(replace(diff, variants=()))
    changes = [one_line(_group(group), _MAX_CHANGE_CHARS) for group in own.groups()]
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


def _group(group: Group) -> str:
    """Return a change of one query, and in how many of its calls it occurs."""
    calls = group.occurrences.calls
    return f"{group_title(group)} ({plural(calls, 'call')})" if calls > 1 else group_title(group)


def _rank(diff: QueryDiff) -> int:
    """Return the order of a row: what became worse, what is gone, what else changed, what is new."""
    if diff.how == "changed":
        return 0 if is_worse(diff) else 2
    return 1 if diff.how == "removed" else 3


def _change_title(change: Change) -> str:
    return f"{title(change)}  result" if change.what == "result" else title(change)


def _variant(variant: Variant) -> str:
    changes = "; ".join(_change_title(change) for change in variant.changes)
    return one_line(
        f"new in {plural(variant.runs, 'run')}, for example repeat {variant.repeat}: {changes}", _MAX_CHANGE_CHARS
    )


def _note(change: Change) -> JsonObject:
    return {
        "what": change.what,
        "sides": word_by_word(change.before, change.after),
        "fails": has_failed(change),
    }
