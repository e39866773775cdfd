"""The page of a comparison, `mcprun diff BASE HEAD --html FILE`: what differs, and each such query side by side.

`Differing` notes what a comparison finds while it goes on; memory holds a short row for each query that differs. The
page is made afterwards, from the transcripts of both sides.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mcprun.diff import Change, Comparison, QueryDiff, Tally, align, result_of
from mcprun.records import JsonObject, RunRecord
from mcprun.report.differences import ABSENT, summary, title
from mcprun.report.page import MOST_BYTES, island, page, write_page
from mcprun.report.sidebyside import side_by_side
from mcprun.report.terminal import many, one_line
from mcprun.rundir import Key, Run, open_single
from mcprun.scrub import Scrubber
from mcprun.show import Show
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

_BYTES = frozenset({"data", "blob"})
"""The keys of MCP content under which bytes stand, in base64."""

_SHOWN_BYTES = 200
"""Characters of them that are shown as they are."""


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


def beside(base: JsonObject | None, head: JsonObject | None, scrubber: Scrubber) -> JsonObject:
    """Hold two transcripts of a query against each other; `None` is one that is not there.

    Gives for each side its `verdict`, `cause` and last `text`, and the `calls` of both, aligned as they are compared.
    """
    before, after = (_calls(one, scrubber) for one in (base, head))
    return {
        "sides": [_side(one) for one in (base, head)],
        "text": side_by_side(*(ABSENT if one is None else str(one["text"]) for one in (base, head))),
        "calls": [
            _pair(number, other, None if number is None else before[number], None if other is None else after[other])
            for number, other in align(before, after)
        ],
    }


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


def _calls(transcript: JsonObject | None, scrubber: Scrubber) -> list[JsonObject]:
    """Give the calls as they are compared: `tool`, `input` and `result`, without what does not count."""
    calls = [
        {"tool": call["tool"], "input": call["input"], "result": result_of(call)}
        for call in (transcript["calls"] if transcript else [])
    ]
    return list(scrubber.clean({"calls": calls}).get("calls", [])) if scrubber else calls


def _side(transcript: JsonObject | None) -> JsonObject | None:
    """Say how a side came out, and why."""
    if transcript is None:
        return None
    error = transcript["error"]
    causes = [f"{error['kind']}: {error['message']}"] if error else []
    failed = [check for check in transcript.get("checks") or [] if not check.get("passed")]
    causes += [f"{check.get('check')}: {check.get('message') or 'did not hold'}" for check in failed]
    return {"verdict": transcript["verdict"], "stop": transcript["stop"], "causes": causes}


def _pair(number: int | None, other: int | None, before: JsonObject | None, after: JsonObject | None) -> JsonObject:
    state = "added" if before is None else "removed" if after is None else "same" if before == after else "changed"
    return {
        "state": state,
        "numbers": [number, other],
        "titles": [_title(before), _title(after)],
        "input": side_by_side(_part(before, "input"), _part(after, "input")),
        "result": side_by_side(_part(before, "result"), _part(after, "result")),
    }


def _title(call: Mapping[str, Any] | None) -> str | None:
    if call is None:
        return None
    given = call.get("input")
    return one_line(f"{call.get('tool')}{Show().input(given) if isinstance(given, dict) else ''}", 300)


def _part(call: Mapping[str, Any] | None, name: str) -> Any:
    """Give a call's input or result; an error's text as such, `ABSENT` where there is none."""
    value = ABSENT if call is None else call.get(name, ABSENT)
    value = _without_bytes(value)
    if name == "result" and isinstance(value, dict) and value.keys() == {"error"}:
        error = value["error"]
        return f"error: {error if isinstance(error, str) else json.dumps(error, ensure_ascii=False, indent=2)}"
    return value


def _without_bytes(value: Any) -> Any:
    """Name the bytes of images, sounds and resources by their hash: that is enough to see whether they differ."""
    if isinstance(value, dict):
        return {
            key: _named_bytes(item) if key in _BYTES and isinstance(item, str) else _without_bytes(item)
            for key, item in value.items()
        }
    return [_without_bytes(item) for item in value] if isinstance(value, list) else value


def _named_bytes(text: str) -> str:
    if len(text) <= _SHOWN_BYTES:
        return text
    return f"({len(text):,} characters, SHA-256 {hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]})"
