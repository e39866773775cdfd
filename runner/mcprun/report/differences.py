"""Differences between two runs, as a person reads them and as programs do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.text import Text

from mcprun.diff import Change, QueryDiff, Tally
from mcprun.records import JsonObject
from mcprun.report.terminal import cut, visible
from mcprun.show import Show

_SHOWN = 500
"""Characters of one value that are shown; `--json` has all of it."""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}

Pair = tuple[str, str]
"""A mark (`-`, `+`, or nothing) and what it stands before."""


def lines(diff: QueryDiff) -> Iterator[Text]:
    """Lay out one query: a title, and under it what changed, old in red and new in green."""
    mark, style = _MARKS[diff.how]
    before, after = diff.verdicts
    verdicts = f"{before} → {after}" if before and after and before != after else (after or before or "")
    repeat = f" (repeat {diff.repeat})" if diff.repeat > 1 else ""
    only = {"added": "only in HEAD", "removed": "only in BASE"}.get(diff.how, "")
    yield Text.assemble(
        (f"{mark} ", style),
        (visible(diff.id) + repeat, "bold"),
        (f"  {verdicts}", style),
        (f"  {only}" if only else "", "dim"),
    )
    for change in diff.changes:
        if change.what == "verdict":  # stands in the title
            continue
        yield Text.assemble("    ", (visible(title(change)), "cyan"))
        for sign, text in told(change):
            colour = {"-": "red", "+": "green"}.get(sign, "dim")
            yield Text.assemble("      ", (f"{sign} {cut(visible(text), _SHOWN)}", colour))


def title(change: Change) -> str:
    """Say what a change is of."""
    if change.call is None:
        return change.what
    call = f"call {change.call}  {change.tool}"
    if change.what == "call_added":
        return f"{call}{_input(change.after)}  added"
    if change.what == "call_removed":
        return f"{call}{_input(change.before)}  removed"
    return f"{call}{_input(change.input)}" if change.what == "result" else f"{call}  {change.what}"


def told(change: Change) -> Iterator[Pair]:
    """Say what was there before and what is there now, value by value."""
    if change.what in ("call_added", "call_removed"):
        return
    for path, before, after in leaves(change.before, change.after):
        at = f"{path}: " if path else ""
        if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
            yield from _text_lines(at, before, after)
            continue
        if before is not ABSENT:
            yield "-", f"{at}{_plain(before)}"
        if after is not ABSENT:
            yield "+", f"{at}{_plain(after)}"


class _Absent:
    """What stands where nothing does."""


ABSENT = _Absent()


def leaves(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Find where two JSON values differ: the path, what is there before and after, or `ABSENT`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            step = f"{path}.{key}" if path else str(key)
            yield from leaves(before.get(key, ABSENT), after.get(key, ABSENT), step)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from leaves(one, other, f"{path}[{at}]")
    elif before is ABSENT or after is ABSENT or type(before) is not type(after) or before != after:
        yield path, before, after


def as_json(diff: QueryDiff) -> JsonObject:
    """Give one query's differences as a JSON object."""
    return asdict(diff)


def summary(tally: Tally) -> str:
    """Sum up: `2 changed, 1 added, 117 same`."""
    counts = {"changed": tally.changed, "added": tally.added, "removed": tally.removed, "same": tally.same}
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count or word == "same")


def markdown(diffs: list[QueryDiff], tally: Tally) -> Iterator[str]:
    """Lay out differences for a job's summary or a comment: a line of totals, then what changed, folded."""
    yield f"**The runs {'differ' if tally.differ else 'are the same'}**: {summary(tally)}."
    for diff in diffs:
        head, *rest = [line.plain for line in lines(diff)]
        yield f"\n<details><summary><code>{_escaped(head)}</code></summary>\n"
        ticks = max((len(run) for line in rest for run in re.findall("`+", line)), default=0)
        fence = "`" * max(3, ticks + 1)  # longer than any that stands within
        yield f"{fence}diff"
        yield from (line[6:] if line.startswith("      ") else line.strip() for line in rest)
        yield f"{fence}\n\n</details>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text_lines(at: str, before: str, after: str) -> Iterator[Pair]:
    if at:
        yield " ", at.rstrip()
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line[0], line[1:]


def _plain(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"error"}:
        return f"error: {_plain(value['error'])}"
    return value if isinstance(value, str) and value.strip() == value != "" else json.dumps(value, ensure_ascii=False)


def _input(value: Any) -> str:
    return Show().input(value) if isinstance(value, dict) else ""
