"""Two values beside each other, line by line, with what differs marked. Pure."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Sequence
from itertools import islice
from typing import Any

from mcprun.alignment import MAX_EXACT, Alignment, common_ends
from mcprun.report.differences import ABSENT, leaves
from mcprun.report.terminal import cut, many

_LINES = 400
"""Lines of one value that are shown."""

_READ = 100_000
"""Lines of one value that are looked at."""

_AROUND = 3
"""Lines that stand around one that differs, in a value that is too long to be shown whole."""

_WIDTH = 4000
"""Characters of one line that are shown."""

Line = tuple[str, bool]
"""A line of text, and whether it differs from the other side."""


def side_by_side(before: Any, after: Any) -> tuple[list[Line], list[Line]]:
    """Lay out two JSON values, or `ABSENT`; lines differ where a leaf does. Texts are compared line by line."""
    if isinstance(before, str) and isinstance(after, str):
        sides: tuple[Iterator[Line], Iterator[Line]] = _texts(before.splitlines(), after.splitlines())
    else:
        differing = frozenset(path for path, _, _ in leaves(before, after))
        sides = _laid_out(before, differing), _laid_out(after, differing)
    return _bounded(sides[0]), _bounded(sides[1])


def _texts(before: Sequence[str], after: Sequence[str]) -> tuple[Iterator[Line], Iterator[Line]]:
    """Mark the lines that two texts do not share; in long ones all lines between the first and the last such one."""
    begin, end = common_ends(before, after)
    marks = [[False] * begin + [True] * (len(side) - begin - end) + [False] * end for side in (before, after)]
    middle = [side[begin : len(side) - end] for side in (before, after)]
    if max(map(len, middle)) <= MAX_EXACT:
        for block in Alignment(*middle).get_matching_blocks():
            for side, at in zip(marks, (block.a, block.b), strict=True):
                side[begin + at : begin + at + block.size] = [False] * block.size
    return zip(before, marks[0], strict=True), zip(after, marks[1], strict=True)


def _laid_out(value: Any, differing: Container[str]) -> Iterator[Line]:
    if value is ABSENT:
        return iter(())
    if isinstance(value, str):
        return ((line, "" in differing) for line in value.splitlines() or [""])
    return _lines(value, differing, path="", begin="", end="", depth=0, is_marked=False)


def _lines(
    value: Any, differing: Container[str], *, path: str, begin: str, end: str, depth: int, is_marked: bool
) -> Iterator[Line]:
    """Write JSON as `json.dumps(indent=2)` does; all that stands at or under a differing path is marked."""
    is_marked = is_marked or path in differing
    pad = "  " * depth
    inner: list[tuple[str, str, Any]] = []
    if isinstance(value, dict):
        inner = [(f"{path}.{key}" if path else str(key), f"{_json(key)}: ", item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{at}]", "", item) for at, item in enumerate(value)]
    if not inner:
        yield f"{pad}{begin}{_json(value)}{end}", is_marked
        return
    opened, closed = "{}" if isinstance(value, dict) else "[]"
    yield f"{pad}{begin}{opened}", is_marked
    for at, (step, name, item) in enumerate(inner, 1):
        comma = "," if at < len(inner) else ""
        yield from _lines(item, differing, path=step, begin=name, end=comma, depth=depth + 1, is_marked=is_marked)
    yield f"{pad}{closed}{end}", is_marked


def _bounded(lines: Iterator[Line]) -> list[Line]:
    """Keep so many lines as can be shown; where there are more, those that differ and some around them."""
    read = list(islice(lines, _READ))
    places = list(range(len(read)))
    if len(read) > _LINES and any(is_marked for _, is_marked in read):
        marked = (at for at, (_, is_marked) in enumerate(read) if is_marked)
        near = {near for at in marked for near in range(at - _AROUND, at + _AROUND + 1)}
        places = [at for at in places if at in near]
    shown: list[Line] = []
    following = 0
    for at in places[:_LINES]:
        if at > following:
            shown.append((f"… ({many(at - following, 'line')} that do not differ)", False))
        shown.append((cut(read[at][0], _WIDTH), read[at][1]))
        following = at + 1
    if left := len(read) - following + sum(1 for _ in lines):
        shown.append((f"… ({many(left, 'more line')})", False))
    return shown


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
