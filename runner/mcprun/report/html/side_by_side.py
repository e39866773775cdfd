"""Two values side by side, line by line, with differences marked. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from mcprun._util.alignment import MAX_EXACT, Alignment, common_ends
from mcprun._util.code_points import reveal
from mcprun._util.json_path import child_path
from mcprun.analysis.diff.values import ABSENT, ValueDifference, value_differences
from mcprun.report.text import cut, plural
from mcprun.report.word_marks import Segments, word_marks

_LINES = 400
"""Maximum number of lines shown of one value."""

_READ = 100_000
"""Maximum number of lines examined of one value."""

_CONTEXT_LINES = 3
"""Lines of context around a difference, in a value that is too long to be shown whole."""

_WIDTH = 4000
"""Maximum number of characters shown of one line."""

Line = tuple[str, bool]
"""A line of text, and whether it differs from the other side."""


MarkedLine = tuple[str | Segments, bool]
"""A line, or its segments if some of its words differ (`word_marks`), and whether it differs from the other side."""

Differing = Mapping[str, tuple[str, str] | None]
"""Paths that differ. Where both sides have a text: this side's text, and how it is shown; else `None`."""


def side_by_side(before: Any, after: Any) -> tuple[list[Line], list[Line]]:
    """Return the lines of two JSON values, or of `ABSENT`. A line is marked if a leaf on it differs.

    Two texts are compared line by line. Empty lines keep lines that both sides have at the same height.
    """
    if isinstance(before, str) and isinstance(after, str):
        sides: tuple[Iterator[Line], Iterator[Line]] = _texts(*_split(before, after))
    else:
        differences = list(value_differences(before, after))
        shown = [_shown(differences, side) for side in (0, 1)]
        sides = _laid_out(before, shown[0]), _laid_out(after, shown[1])
    return _level(*_revealed(_bounded(sides[0]), _bounded(sides[1])))


def word_by_word(before: Any, after: Any) -> tuple[list[MarkedLine], list[MarkedLine]]:
    """Return the lines of `side_by_side`. A marked line whose partner has the same words in part is in segments."""
    sides = side_by_side(before, after)
    marked: tuple[list[MarkedLine], list[MarkedLine]] = ([*sides[0]], [*sides[1]])
    groups = [_marked_runs(side) for side in sides]
    if len(groups[0]) != len(groups[1]):
        groups = [[[at for run in side for at in run]] for side in groups]
    for one, other in zip(*groups, strict=True):
        for at, opposite in zip(one, other, strict=False):
            if marks := word_marks(sides[0][at][0], sides[1][opposite][0]):
                marked[0][at], marked[1][opposite] = (marks[0], True), (marks[1], True)
    return marked


def _marked_runs(side: Sequence[Line]) -> list[list[int]]:
    """Return the numbers of the marked lines between each two unmarked ones."""
    runs: list[list[int]] = [[]]
    for at, (text, is_marked) in enumerate(side):
        if is_marked:
            runs[-1].append(at)
        elif text:
            runs.append([])
    return runs


def _shown(differences: Sequence[ValueDifference], side: int) -> Differing:
    """Return each path that differs. Where both sides have a text, include this side's text and how to show it."""
    shown: dict[str, tuple[str, str] | None] = {}
    for difference in differences:
        both = difference.before, difference.after
        if both[side] is not ABSENT:
            is_text = isinstance(both[0], str) and isinstance(both[1], str)
            shown[difference.paths[side]] = (both[side], reveal(*both)[side]) if is_text else None
    return shown


def _text_at(path: str, value: Any, differing: Differing) -> Any:
    """Return a value as it is shown. The text is checked, because a key with dots can give two values the same path."""
    texts = differing.get(path)
    return texts[1] if texts and texts[0] == value else value


def _revealed(before: list[Line], after: list[Line]) -> tuple[list[Line], list[Line]]:
    """Reveal how marked lines that look the same differ. Marked lines are paired in order."""
    marked = [[at for at, (_, is_marked) in enumerate(side) if is_marked] for side in (before, after)]
    for one, other in zip(*marked, strict=False):
        texts = reveal(before[one][0], after[other][0])
        before[one], after[other] = (texts[0], True), (texts[1], True)
    return before, after


def _level(before: list[Line], after: list[Line]) -> tuple[list[Line], list[Line]]:
    """Insert empty lines beside marked ones that the other side lacks, if both sides have as many unmarked lines."""
    counts = [sum(not is_marked for _, is_marked in side) for side in (before, after)]
    if counts[0] != counts[1]:
        return before, after
    groups = [_groups(side) for side in (before, after)]
    for one, other in zip(*(side[:-1] for side in groups), strict=True):
        height = max(len(one), len(other))
        for group in (one, other):
            group[-1:-1] = [("", False)] * (height - len(group))
    return [line for group in groups[0] for line in group], [line for group in groups[1] for line in group]


def _groups(lines: list[Line]) -> list[list[Line]]:
    """Split lines after each unmarked one. The last group has the marked lines at the end."""
    groups: list[list[Line]] = [[]]
    for line in lines:
        groups[-1].append(line)
        if not line[1]:
            groups.append([])
    return groups


def _texts(before: Sequence[str], after: Sequence[str]) -> tuple[Iterator[Line], Iterator[Line]]:
    """Mark the lines that two texts do not share. In long texts, mark all lines from the first to the last of them."""
    begin, end = common_ends(before, after)
    marks = [[False] * begin + [True] * (len(side) - begin - end) + [False] * end for side in (before, after)]
    middle = [side[begin : len(side) - end] for side in (before, after)]
    if max(map(len, middle)) <= MAX_EXACT:
        for block in Alignment(*middle).get_matching_blocks():
            for side, at in zip(marks, (block.a, block.b), strict=True):
                side[begin + at : begin + at + block.size] = [False] * block.size
    return zip(before, marks[0], strict=True), zip(after, marks[1], strict=True)


def _split(before: str, after: str) -> tuple[list[str], list[str]]:
    """Split texts at line feeds only, so that other line endings count as differences. Note a missing final one."""
    sides = [text.removesuffix("\n").split("\n") if text else [] for text in (before, after)]
    if before and after and before.endswith("\n") != after.endswith("\n"):
        side = sides[before.endswith("\n")]
        side[-1] += "  (no newline at the end)"
    return sides[0], sides[1]


def _laid_out(value: Any, differing: Differing) -> Iterator[Line]:
    if value is ABSENT:
        return iter(())
    if isinstance(value, str):
        return ((line, "" in differing) for line in str(_text_at("", value, differing)).removesuffix("\n").split("\n"))
    return _lines(value, differing, path="", begin="", end="", depth=0, is_marked=False)


def _lines(
    value: Any, differing: Differing, *, path: str, begin: str, end: str, depth: int, is_marked: bool
) -> Iterator[Line]:
    """Yield the lines of `json.dumps(indent=2)`, with everything at or below a differing path marked."""
    is_marked = is_marked or path in differing
    pad = "  " * depth
    inner: list[tuple[str, str, Any]] = []
    if isinstance(value, dict):
        inner = [(child_path(path, key), f"{_json(key)}: ", item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(child_path(path, at), "", item) for at, item in enumerate(value)]
    if not inner:
        yield f"{pad}{begin}{_json(_text_at(path, value, differing))}{end}", is_marked
        return
    opened, closed = "{}" if isinstance(value, dict) else "[]"
    yield f"{pad}{begin}{opened}", is_marked
    for at, (step, name, item) in enumerate(inner, 1):
        comma = "," if at < len(inner) else ""
        yield from _lines(item, differing, path=step, begin=name, end=comma, depth=depth + 1, is_marked=is_marked)
    yield f"{pad}{closed}{end}", is_marked


def _bounded(lines: Iterator[Line]) -> list[Line]:
    """Return the lines that can be shown. Of more than `_LINES`, keep only differing lines and their context."""
    read = list(islice(lines, _READ))
    places = list(range(len(read)))
    if len(read) > _LINES and any(is_marked for _, is_marked in read):
        marked = (at for at, (_, is_marked) in enumerate(read) if is_marked)
        near = {near for at in marked for near in range(at - _CONTEXT_LINES, at + _CONTEXT_LINES + 1)}
        places = [at for at in places if at in near]
    shown: list[Line] = []
    following = 0
    for at in places[:_LINES]:
        if at > following:
            shown.append((f"… ({plural(at - following, 'unchanged line')})", False))
        shown.append((cut(read[at][0], _WIDTH), read[at][1]))
        following = at + 1
    if left := len(read) - following + sum(1 for _ in lines):
        shown.append((f"… ({plural(left, 'more line')})", False))
    return shown


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
