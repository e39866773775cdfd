"""Differences between two runs, as a person reads them and as programs do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from mcprun.compare import Change
from mcprun.diff import QueryDiff, Tally
from mcprun.records import JsonObject
from mcprun.report.terminal import cut, many, visible
from mcprun.show import Show
from mcprun.toolchanges import ToolChange

_SHOWN = 500
"""Characters of one value that are shown; `--json` has all of it."""

_VARIANTS = 5
"""So many new ways to go are told of a query; `--json` has them all."""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}

Line = tuple[tuple[str, str], ...]
"""Texts and the style that each is shown in."""

Pair = tuple[str, str]
"""A mark (`-`, `+`, or nothing) and what it stands before."""


def lines(diff: QueryDiff) -> Iterator[Line]:
    """Lay out one query: a title, and under it what changed, old in red and new in green."""
    mark, style = _MARKS[diff.how]
    repeat = f" (repeat {diff.repeat})" if diff.repeat and diff.repeat > 1 else ""
    only = {"added": "  only in HEAD", "removed": "  only in BASE"}.get(diff.how, "")
    yield (f"{mark} ", style), (visible(diff.id) + repeat, "bold"), (f"  {_outcome(diff)}", style), (only, "dim")
    yield from _changes(diff.changes)
    for variant in diff.variants[:_VARIANTS]:
        runs = diff.rates[1].runs if diff.rates[1] else 0
        yield ((f"    new in {variant.runs:,} of {many(runs, 'run')}, such as repeat {variant.repeat}", "yellow"),)
        yield from _changes(variant.changes)
    if (left := len(diff.variants) - _VARIANTS) > 0:
        yield ((f"    … and {many(left, 'more variant')} that BASE never had", "dim"),)


def _changes(changes: Iterable[Change]) -> Iterator[Line]:
    for change in changes:
        if change.what == "verdict":  # stands in the title
            continue
        yield ("    ", ""), (visible(title(change)), "cyan")
        for sign, text in told(change):
            colour = {"-": "red", "+": "green"}.get(sign, "dim")
            yield ("      ", ""), (f"{sign} {cut(visible(text), _SHOWN)}", colour)


def _outcome(diff: QueryDiff) -> str:
    """Say how a query ended: its verdict before and after, or of one that was run several times, its pass rate."""
    if diff.repeat is not None:
        before, after = diff.verdicts
        return f"{before} → {after}" if before and after and before != after else (after or before or "")
    first, *more = [f"{rate.passed:,}/{rate.runs:,}" for rate in diff.rates if rate]
    if not more or diff.rates[0] == diff.rates[1]:
        return f"{first} passed"
    return f"{first} → {more[0]} passed, p = {diff.p:.2g}"


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
    if change.are_errors[0] is not change.are_errors[1]:
        for sign, value, fails in zip("-+", (change.before, change.after), change.are_errors, strict=True):
            yield sign, f"error: {_plain(value)}" if fails else _plain(value)
        return
    for path, before, after in leaves(change.before, change.after, "error" if change.are_errors[0] else ""):
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


def as_json(value: QueryDiff | JsonObject) -> str:
    """Write one query's differences, or an object of such values, as a JSON object on one line."""
    return json.dumps(value, ensure_ascii=False, default=_shallow)


def summary(tally: Tally) -> str:
    """Sum up: `2 changed, 1 added, 117 same`."""
    counts = {"changed": tally.changed, "added": tally.added, "removed": tally.removed, "same": tally.same}
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count or word == "same")
    told += f" ({tally.chance:,} with another pass rate, which may be chance)" if tally.chance else ""
    told += f" ({tally.fewer:,} with fewer runs than BASE has)" if tally.fewer else ""
    return f"{told}; {many(tally.breaking, 'breaking change')} of the tools" if tally.breaking else told


def tool_lines(tools: Sequence[ToolChange]) -> Iterator[Line]:
    """Lay out what changed in the tools of the servers: what breaks those who call them first."""
    if tools:
        yield ("~ ", "yellow"), ("tools of the server", "bold")
    for change in sorted(tools, key=lambda change: not change.breaking):
        mark, style = ("✗", "red") if change.breaking else ("~", "dim")
        told = cut(visible(f"{change.tool}  {change.message}"), _SHOWN)
        yield (f"    {mark} ", style), (told, style)


def markdown(diffs: Iterable[QueryDiff], tools: Sequence[ToolChange], tally: Tally) -> Iterator[str]:
    """Lay out differences for a job's summary or a comment: a line of totals, then what changed, folded."""
    laid_out = [list(lines(diff)) for diff in diffs] + ([list(tool_lines(tools))] if tools else [])
    yield f"**The runs {'differ' if tally.differ else 'are the same'}**: {summary(tally)}."
    for one in laid_out:
        head, *rest = ["".join(text for text, _ in line) for line in one]
        yield f"\n<details><summary><code>{_escaped(head)}</code></summary>\n"
        ticks = max((len(run) for line in rest for run in re.findall("`+", line)), default=0)
        fence = "`" * max(3, ticks + 1)  # longer than any that stands within
        yield f"{fence}diff"
        yield from (line[6:] if line.startswith("      ") else line.strip() for line in rest)
        yield f"{fence}\n\n</details>"


def _shallow(value: Any) -> JsonObject:
    """Give a dataclass as a JSON object, its values as they are: `asdict` would copy every result that differs."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text_lines(at: str, before: str, after: str) -> Iterator[Pair]:
    if at:
        yield " ", at.rstrip()
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line[0], line[1:]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value.strip() == value != "" else json.dumps(value, ensure_ascii=False)


def _input(value: Any) -> str:
    return Show().input(value) if isinstance(value, dict) else ""
