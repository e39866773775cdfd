"""One change between two runs as text: its title, and the lines of its old and new values. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from mcprun._util.alignment import Alignment, common_ends
from mcprun._util.code_points import look_alike, reveal
from mcprun.analysis.diff.transcripts import Change
from mcprun.analysis.diff.values import ABSENT, ValueDifference
from mcprun.report.text import cut, one_line, visible
from mcprun.runs.transcript import Verdict
from mcprun.tools.format import ValueFormatter, shorten_to_difference

SHOWN = 500
"""Maximum number of characters shown of one value; `--json` does not shorten it."""

NAME = 200
"""Maximum number of characters shown of a query's id or a tool's name."""

_MAX_PATH_CHARS = 200
"""Maximum number of characters shown of a value's path."""

_MAX_PAIRS = 2_500
"""Maximum number of removed/added path pairs checked for look-alikes; with more, the names are unrelated."""

_NOT_AN_ERROR = "end_turn"
"""The stop reason of a model that has finished."""

Pair = tuple[str, str]
"""A sign (`-`, `+`, or a space) and the text after it."""


def title(change: Change) -> str:
    """Return the title of a change on one line, with control characters escaped."""
    if change.call is None:
        return change.what
    call = f"call {change.call}  {one_line(str(change.tool), NAME)}"
    if change.what == "call_added":
        return f"{call}{input_text(change.after)}  added"
    if change.what == "call_removed":
        return f"{call}{input_text(change.before)}  removed"
    return f"{call}{input_text(change.input)}" if change.what == "result" else f"{call}  {change.what}"


def has_failed(change: Change) -> bool:
    """Return whether the value after a change is an error, which no output may show as an improvement."""
    return (
        change.are_errors[1]
        or change.what == "fault"
        or (change.what == "stop" and change.after != _NOT_AN_ERROR)
        or (change.what == "verdict" and change.after != Verdict.PASSED)
    )


def difference_pairs(
    difference: ValueDifference, paths: tuple[str, str] = ("", ""), are_errors: tuple[bool, bool] = (False, False)
) -> Iterator[Pair]:
    """Yield the lines of one difference. Equal `are_errors` are not marked: the paths or the context show them."""
    before, after = difference.before, difference.after
    if are_errors[0] is not are_errors[1]:
        for sign, value, fails in zip("-+", (before, after), are_errors, strict=True):
            if value is not ABSENT:
                yield sign, f"{'error: ' if fails else ''}{_short(_plain(value))}"
        return
    at, other_at = (f"{one_line(path, _MAX_PATH_CHARS)}: " if path else "" for path in paths)
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        if other_at:
            yield " ", other_at.rstrip()
        yield from _text_lines(before, after)
    elif before is ABSENT and after is ABSENT:
        return
    elif before is ABSENT or after is ABSENT:
        sign, at, value = ("+", other_at, after) if before is ABSENT else ("-", at, before)
        yield sign, f"{at}{_short(_plain(value))}"
    else:
        if isinstance(before, str) and isinstance(after, str):
            before, after = reveal(*shorten_to_difference(before, after, SHOWN))
        one, other = _plain(before), _plain(after)
        if one == other:  # such as `5` and `"5"`
            one, other = _json(before), _json(after)
        one, other = shorten_to_difference(one, other, SHOWN)
        yield "-", f"{at}{_short(one)}"
        yield "+", f"{other_at}{_short(other)}"


def with_visible_paths(differing: Iterable[ValueDifference]) -> list[tuple[ValueDifference, tuple[str, str]]]:
    """Add the paths to show: escaped where a removed and an added key look alike."""
    places = list(differing)
    removed = [place.path for place in places if place.after is ABSENT]
    added = [place.path for place in places if place.before is ABSENT]
    shown: dict[str, str] = {}
    if len(removed) * len(added) <= _MAX_PAIRS:
        for one, other in ((one, other) for one in removed for other in added if look_alike(one, other)):
            shown[one], shown[other] = reveal(one, other)
    return [(place, (shown.get(one, one), shown.get(other, other))) for place in places for one, other in [place.paths]]


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
                sides[0][at], sides[1][at] = reveal(*shorten_to_difference(before_it, after_it, SHOWN))
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
    return visible(cut(text, SHOWN))


def _plain(value: Any) -> str:
    """Return a text unchanged if it is unambiguous without quotes, else as JSON; return other values as JSON."""
    return value if isinstance(value, str) and value.strip() == value != "" and "\n" not in value else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def input_text(value: Any) -> str:
    """Return the arguments of a call on one line; empty if they are not an object."""
    return one_line(ValueFormatter().input(value), SHOWN) if isinstance(value, dict) else ""
