"""The page of a comparison, `mcprun diff BASE HEAD --html FILE`: what differs, and each such query side by side.

`Differing` notes what a comparison finds while it goes on; memory holds a short row for each query that differs. The
page is made afterwards, from the transcripts of both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from mcprun.diff import Change, Comparison, QueryDiff, Tally
from mcprun.records import JsonObject, RunRecord
from mcprun.report.differences import summary, title
from mcprun.report.page import MOST_BYTES, island, page, write_page
from mcprun.report.pairs import beside
from mcprun.report.sidebyside import side_by_side
from mcprun.report.terminal import many, one_line
from mcprun.rundir import Key, Run, open_single
from mcprun.scrub import Scrubber
from mcprun.tools import changes as tool_changes

_SCRIPTS = ("dom.js", "table.js", "view.js", "sides.js", "diff.js")
_STYLES = ("page.css", "conversation.css", "diff.css")

_COLUMNS = ("id", "repeat", "how", "before", "after", "worse", "told", "kept")
"""What the cells of a row are, in order; `worse` says whether it counts as a regression."""

_TOLD = 3
"""So many changes of a query are told in its row."""

_WORDS = 160
"""Characters of a change that a row holds, and of a cause."""

_NAME = 300
"""Characters of an id that a row holds."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared: what it was called, its record if it is a run, and how to find transcripts."""

    name: str
    record: RunRecord | None
    find: Callable[[Key], JsonObject | None]


@dataclass(slots=True)
class Differing:
    """The queries that differ, by id and repeat: what their rows say, and what else than calls changed in them."""

    rows: dict[Key, list[object]] = field(default_factory=dict)
    notes: dict[Key, list[JsonObject]] = field(default_factory=dict)

    def noting(self, diffs: Iterable[QueryDiff]) -> Iterator[QueryDiff]:
        """Hand on what a comparison finds, and note it."""
        for diff in diffs:
            key = (diff.id, diff.repeat)
            self.rows[key] = list(_cells(diff))
            self.notes[key] = [_note(change) for change in diff.changes if change.call is None]
            yield diff


def write_diff(
    path: Path, differing: Differing, comparison: Comparison, base: tuple[str, Run | None], head: tuple[str, Run | None]
) -> int:
    """Write the page of a comparison that was gone through; give its size in bytes.

    `base` and `head` are what each is called, and the run if it is one. Raises `UsageError` where nobody may write.
    """
    with open_single(base[0], differing.rows) as find_base, open_single(head[0], differing.rows) as find_head:
        sides = _named(base, find_base), _named(head, find_head)
        return write_page(path, diff_page(differing, comparison.tally, sides, comparison.scrubber))


def _named(which: tuple[str, Run | None], find: Callable[[Key], JsonObject | None]) -> Side:
    name, run = which
    return Side(str(run.path), run.record, find) if run else Side(name, None, find)


def diff_page(
    differing: Differing, tally: Tally, sides: tuple[Side, Side], scrubber: Scrubber, most_bytes: int = MOST_BYTES
) -> Iterator[str]:
    """Give the page of a comparison, in chunks. What `scrubber` takes out does not differ here either.

    What stands side by side takes at most so many bytes; of the other queries, the rows say what changed.
    """
    tools = [side.record.server.tools if side.record and side.record.server else None for side in sides]
    return page(
        "diff.html.jinja",
        _SCRIPTS,
        _STYLES,
        base=sides[0],
        head=sides[1],
        tally=tally,
        summary=summary(tally),
        tools=tool_changes(tools[0], tools[1]) if tools[0] is not None and tools[1] is not None else "",
        islands=_islands(differing, sides, scrubber, most_bytes),
    )


def _islands(differing: Differing, sides: tuple[Side, Side], scrubber: Scrubber, most_bytes: int) -> Iterator[Markup]:
    """Give the queries' islands, `d-0`, `d-1`, …, as long as there is room, and then the table's."""
    rows, left = [], most_bytes
    for number, (key, row) in enumerate(differing.rows.items()):
        value = beside(sides[0].find(key), sides[1].find(key), scrubber) | {"notes": differing.notes[key]}
        one = island(f"d-{number}", value)
        size = len(one.encode("utf-8", "backslashreplace"))
        is_kept = size <= left
        if is_kept:
            left -= size
            yield one
        rows.append([*row, int(is_kept)])
    kept = sum(bool(row[-1]) for row in rows)
    note = f"{kept:,} of {many(len(rows), 'query')} are shown side by side in this file; mcprun diff tells the others."
    data = {"columns": _COLUMNS, "rows": rows, "names": [side.name for side in sides]}
    yield island("data", data | {"left_out": note if kept < len(rows) else ""})


def _cells(diff: QueryDiff) -> Iterator[object]:
    told = [one_line(_told(change), _WORDS) for change in diff.changes if change.what != "verdict"]
    more = [f"and {len(told) - _TOLD:,} more"] if len(told) > _TOLD else []
    before, after = diff.verdicts
    yield diff.id if len(diff.id) <= _NAME else f"{diff.id[:_NAME]}…"
    yield diff.repeat
    yield diff.how
    yield before
    yield after
    yield int(diff.how == "removed" or (diff.how == "changed" and not after == "passed" != before))
    yield [*told[:_TOLD], *more]


def _told(change: Change) -> str:
    return f"{title(change)}  result" if change.what == "result" else title(change)


def _note(change: Change) -> JsonObject:
    return {"what": change.what, "sides": side_by_side(change.before, change.after)}
