"""Differences between two runs, as text for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from mcprun._util.alignment import Alignment, common_ends
from mcprun._util.code_points import look_alike, reveal, reveal_name
from mcprun.analysis.diff.describe import differences_of
from mcprun.analysis.diff.runs import DiffSummary, QueryDiff
from mcprun.analysis.diff.transcripts import Change
from mcprun.analysis.diff.values import ABSENT, ValueDifference
from mcprun.report.text import cut, one_line, plural, visible
from mcprun.runs.run_record import ComparedCounts
from mcprun.tools.changes import ToolChange
from mcprun.tools.format import ValueFormatter, shorten_to_difference

_SHOWN = 500
"""Maximum number of characters shown of one value; `--json` does not shorten it."""

_NAME = 200
"""Maximum number of characters shown of a query's id or a tool's name."""

_MAX_PATH_CHARS = 200
"""Maximum number of characters shown of a value's path."""

_LINES = 200
"""Maximum number of lines shown for one change; `--json` has all of them."""

_MAX_PAIRS = 2_500
"""Maximum number of removed/added path pairs checked for look-alikes; with more, the names are unrelated."""

_VARIANTS = 5
"""Maximum number of variants shown of a query; `--json` has all of them."""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}

Line = tuple[tuple[str, str], ...]
"""The parts of a line: pairs of text and style."""

Pair = tuple[str, str]
"""A sign (`-`, `+`, or a space) and the text after it."""


BASELINE = "the baseline"
"""The name of BASE where a run is compared with its baseline."""


def lines(diff: QueryDiff, base: str = "BASE") -> Iterator[Line]:
    """Lay out one query: a title, and below it the changes, with old values in red and new ones in green.

    `base` names the side that the query is compared with.
    """
    mark, style = _MARKS[diff.how]
    repeat = f" (repeat {diff.repeat})" if diff.repeat and diff.repeat > 1 else ""
    only = {"added": f"  new query, not in {base}", "removed": f"  missing query, only in {base}"}.get(diff.how, "")
    yield (
        (f"{mark} ", style),
        (one_line(_id(diff), _NAME) + repeat, "bold"),
        (f"  {_outcome(diff)}", style),
        (only, "dim"),
    )
    yield from _changes(diff.changes)
    for variant in diff.variants[:_VARIANTS]:
        runs = diff.rates[1].runs if diff.rates[1] else 0
        yield (
            (f"    new in {variant.runs:,} of {plural(runs, 'run')}, for example repeat {variant.repeat}", "yellow"),
        )
        yield from _changes(variant.changes)
    if (left := len(diff.variants) - _VARIANTS) > 0:
        yield ((f"    … and {plural(left, 'more variant')} not in {base}", "dim"),)


def _id(diff: QueryDiff) -> str:
    """Return a query's id, with its non-NFC characters spelled out if only one run has it.

    The other run may have a query whose id looks the same.
    """
    return diff.id if diff.how == "changed" else reveal_name(diff.id)


def _changes(changes: Iterable[Change]) -> Iterator[Line]:
    for change in changes:
        if change.what == "verdict":  # shown in the title
            continue
        yield ("    ", ""), (title(change), "cyan")
        pairs = value_pairs(change)
        for sign, text in islice(pairs, _LINES):
            colour = {"-": "red", "+": "green"}.get(sign, "dim")
            yield ("      ", ""), (f"{sign} {text}", colour)
        if left := sum(1 for _ in pairs):
            yield (("      ", ""), (f"  … and {plural(left, 'more line')}", "dim"))


def _outcome(diff: QueryDiff) -> str:
    """Return a query's outcome: its verdicts before and after, or the pass rates of a repeated query."""
    if diff.repeat is not None:
        before, after = diff.verdicts
        return f"{before} → {after}" if before and after and before != after else (after or before or "")
    first, *more = [f"{rate.passed:,}/{rate.runs:,}" for rate in diff.rates if rate]
    if not more or diff.rates[0] == diff.rates[1]:
        return f"{first} passed"
    return f"{first} → {more[0]} passed, {chance(diff)}"


def chance(diff: QueryDiff) -> str:
    """Return the p-value of a change as text: `p = 0.012`, or `p < 0.000001` if it rounds to 0."""
    return f"p = {diff.p:.2g}" if diff.p else "p < 0.000001"


def title(change: Change) -> str:
    """Return the title of a change on one line, with control characters escaped."""
    if change.call is None:
        return change.what
    call = f"call {change.call}  {one_line(str(change.tool), _NAME)}"
    if change.what == "call_added":
        return f"{call}{_input(change.after)}  added"
    if change.what == "call_removed":
        return f"{call}{_input(change.before)}  removed"
    return f"{call}{_input(change.input)}" if change.what == "result" else f"{call}  {change.what}"


def value_pairs(change: Change) -> Iterator[Pair]:
    """Yield the old and new values of a change, one escaped line each.

    Long values are cut to the part around their first difference.
    """
    if change.what in ("call_added", "call_removed"):
        return
    if change.are_errors[0] is not change.are_errors[1]:
        for sign, value, fails in zip("-+", (change.before, change.after), change.are_errors, strict=True):
            yield sign, f"{'error: ' if fails else ''}{_short(_plain(value))}"
        return
    for difference, paths in _with_visible_paths(differences_of(change)):
        before, after = difference.before, difference.after
        at, other_at = (f"{one_line(path, _MAX_PATH_CHARS)}: " if path else "" for path in paths)
        if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
            if other_at:
                yield " ", other_at.rstrip()
            yield from _text_lines(before, after)
        elif before is ABSENT or after is ABSENT:
            sign, at, value = ("+", other_at, after) if before is ABSENT else ("-", at, before)
            yield sign, f"{at}{_short(_plain(value))}"
        else:
            if isinstance(before, str) and isinstance(after, str):
                before, after = reveal(*shorten_to_difference(before, after, _SHOWN))
            one, other = _plain(before), _plain(after)
            if one == other:  # such as `5` and `"5"`
                one, other = _json(before), _json(after)
            one, other = shorten_to_difference(one, other, _SHOWN)
            yield "-", f"{at}{_short(one)}"
            yield "+", f"{other_at}{_short(other)}"


def _with_visible_paths(differing: Iterable[ValueDifference]) -> list[tuple[ValueDifference, tuple[str, str]]]:
    """Add the paths to show: escaped where a removed and an added key look alike."""
    places = list(differing)
    removed = [place.path for place in places if place.after is ABSENT]
    added = [place.path for place in places if place.before is ABSENT]
    shown: dict[str, str] = {}
    if len(removed) * len(added) <= _MAX_PAIRS:
        for one, other in ((one, other) for one in removed for other in added if look_alike(one, other)):
            shown[one], shown[other] = reveal(one, other)
    return [(place, (shown.get(one, one), shown.get(other, other))) for place in places for one, other in [place.paths]]


def summary(diff_summary: DiffSummary | ComparedCounts) -> str:
    """Return the totals as text: `2 changed, 1 added, 117 unchanged`."""
    counts = {
        "changed": diff_summary.changed,
        "added": diff_summary.added,
        "removed": diff_summary.removed,
        "unchanged": diff_summary.same,
    }
    text = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count or word == "unchanged")
    text += (
        f" ({diff_summary.chance:,} with a different pass rate, not statistically significant)"
        if diff_summary.chance
        else ""
    )
    text += f" ({diff_summary.fewer:,} with fewer repeats than in BASE)" if diff_summary.fewer else ""
    return f"{text}; {plural(diff_summary.breaking, 'breaking tool change')}" if diff_summary.breaking else text


def tool_lines(tools: Sequence[ToolChange]) -> Iterator[Line]:
    """Lay out the changes of the server's tools, breaking ones first."""
    if tools:
        yield ("~ ", "yellow"), ("server tools", "bold")
    for change in sorted(tools, key=lambda change: not change.breaking):
        mark, style = ("✗", "red") if change.breaking else ("~", "dim")
        text = f"{one_line(reveal_name(change.tool), _NAME)}  {one_line(change.message, _SHOWN)}"
        yield (f"    {mark} ", style), (text, style)


def _text_lines(before: str, after: str) -> Iterator[Pair]:
    """Compare two texts line by line, line endings included.

    A missing newline at the end is noted if only one text lacks it.
    """
    one, other = with_ends(before), with_ends(after)
    note = "  (no newline at the end)" if before.endswith("\n") != after.endswith("\n") else ""

    def shown(line: str, text: str) -> str:
        return _short(text.removesuffix("\n")) + ("" if line.endswith("\n") else note)

    begin, end = common_ends(one, other)
    lead, trail = one[:begin][-1:], one[len(one) - end :][:1]
    one, other = (side[begin : len(side) - end] for side in (one, other))
    yield from ((" ", shown(line, line)) for line in lead)
    for group in Alignment(one, other).get_grouped_opcodes(1):
        for tag, i, j, k, n in group:
            if tag == "equal":
                yield from ((" ", shown(line, line)) for line in one[i:j])
                continue
            sides = tuple([line.removesuffix("\n") for line in side] for side in (one[i:j], other[k:n]))
            for at, (before_it, after_it) in enumerate(zip(sides[0], sides[1], strict=False)):
                sides[0][at], sides[1][at] = reveal(*shorten_to_difference(before_it, after_it, _SHOWN))
            paired = min(map(len, sides))
            for side in sides:
                side[paired:] = [reveal("", line)[1] for line in side[paired:]]
            yield from (("-", shown(line, text)) for line, text in zip(one[i:j], sides[0], strict=True))
            yield from (("+", shown(line, text)) for line, text in zip(other[k:n], sides[1], strict=True))
    yield from ((" ", shown(line, line)) for line in trail)


def with_ends(text: str) -> list[str]:
    """Split a text into lines that keep their `\\n`. The last line has none if the text does not end with one."""
    lines = [f"{line}\n" for line in text.split("\n")]
    return [*lines[:-1], lines[-1][:-1]] if lines[-1] != "\n" else lines[:-1]


def _short(text: str) -> str:
    return visible(cut(text, _SHOWN))


def _plain(value: Any) -> str:
    """Return a text unchanged if it is unambiguous without quotes, else as JSON; return other values as JSON."""
    return value if isinstance(value, str) and value.strip() == value != "" and "\n" not in value else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _input(value: Any) -> str:
    return one_line(ValueFormatter().input(value), _SHOWN) if isinstance(value, dict) else ""
