"""Pair the items of two lists of JSON values, in bounded time. Pure.

Lists of the same length are paired by index unless more items are equal, or have the same identity, in other places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mcprun._util.alignment import MAX_EXACT, Alignment, common_ends
from mcprun._util.json_value import json_equal, key_of

_IDENTITIES = ("id", "key", "name", "uri", "path", "url", "title")
"""Keys that may identify an object among the items of a list, in order of preference."""

_MAX_COMPARED = 2_500
"""Maximum number of pairs of items whose similarity is computed. With more, changed items are paired by index."""

_MAX_EQUAL_PAIRS = 1_000_000
"""Maximum number of pairs of equal items in lists of more than `MAX_EXACT` items that are aligned."""

_MAX_MEMBERS = 50
"""Maximum number of members of an item that are compared to compute its similarity to another."""

_SIMILAR = 0.5
"""The share of equal members from which two objects are versions of the same item."""

Pair = tuple[int | None, int | None]
"""The index of an item before and after; None if it was added or removed."""


def pair_items(before: Sequence[Any], after: Sequence[Any]) -> list[Pair]:
    """Pair the items of two lists, in order."""
    if len(before) == len(after):
        by_index: list[Pair] = [(at, at) for at in range(len(before))]
        if all(map(json_equal, before, after)):
            return by_index
        ids, keys = _identities(before, after), None
        if ids is None or not _is_shifted(*ids):
            keys = _keys(before, after)
            if not _is_shifted(*keys):
                return by_index
    else:
        ids, keys = _identities(before, after), None
    if ids is not None:
        return list(_aligned(*ids))
    keys = keys or _keys(before, after)
    return [pair for block in _blocks(*keys) for pair in _pairs_of_block(before, after, *block)]


Block = tuple[bool, range, range]
"""Whether the items of two ranges are equal, and the ranges."""


def _blocks(before: Sequence[str], after: Sequence[str]) -> Iterator[Block]:
    """Align two sequences, and yield the ranges of equal items and those between them."""
    start, end = common_ends(before, after)
    ends = len(before) - end, len(after) - end
    yield True, range(start), range(start)
    middle = before[start : ends[0]], after[start : ends[1]]
    if _is_too_much(*middle):
        yield False, range(start, ends[0]), range(start, ends[1])
    else:
        for tag, i, j, k, n in Alignment(*middle).get_opcodes():
            yield tag == "equal", range(start + i, start + j), range(start + k, start + n)
    yield True, range(ends[0], len(before)), range(ends[1], len(after))


def _is_too_much(before: Sequence[str], after: Sequence[str]) -> bool:
    """Return whether aligning two sequences may take long: they are very long, and the same items recur in them."""
    if max(len(before), len(after)) <= MAX_EXACT:
        return False
    counts = Counter(after)
    return sum(counts[item] for item in before) > _MAX_EQUAL_PAIRS


def _aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[Pair]:
    """Pair equal names. The others were removed or added."""
    for is_equal, one, other in _blocks(before, after):
        yield from zip(one, other, strict=True) if is_equal else _unpaired(one, other)


def _unpaired(before: Iterable[int], after: Iterable[int]) -> Iterator[Pair]:
    yield from ((at, None) for at in before)
    yield from ((None, at) for at in after)


def _pairs_of_block(
    before: Sequence[Any], after: Sequence[Any], is_equal: bool, one: range, other: range
) -> Iterator[Pair]:
    """Pair the items of two ranges: equal ones, or those that differ, of which similar ones are paired."""
    if is_equal or len(one) == len(other) == 1:
        yield from zip(one, other, strict=True)
    elif not one or not other:
        yield from _unpaired(one, other)
    elif len(one) * len(other) > _MAX_COMPARED:
        paired = min(len(one), len(other))
        yield from zip(one[:paired], other[:paired], strict=True)
        yield from _unpaired(one[paired:], other[paired:])
    else:
        start, at = one.start, other.start
        for a, b in _similar_pairs([before[n] for n in one], [after[n] for n in other]):
            yield from _between(range(start, one.start + a), range(at, other.start + b))
            yield one.start + a, other.start + b
            start, at = one.start + a + 1, other.start + b + 1
        yield from _between(range(start, one.stop), range(at, other.stop))


def _between(before: range, after: range) -> Iterator[Pair]:
    """Pair items that are not similar: by index if both sides have as many, else not at all."""
    if len(before) == len(after):
        yield from zip(before, after, strict=True)
    else:
        yield from _unpaired(before, after)


def _similar_pairs(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[int, int]]:
    """Return the pairs of similar items, in order, whose similarities have the largest sum."""
    sums = [[0.0] * (len(after) + 1) for _ in range(len(before) + 1)]
    similar = [[_similarity(one, other) for other in after] for one in before]
    for a in reversed(range(len(before))):
        for b in reversed(range(len(after))):
            pair = similar[a][b] + sums[a + 1][b + 1] if similar[a][b] >= _SIMILAR else 0.0
            sums[a][b] = max(pair, sums[a + 1][b], sums[a][b + 1])
    pairs: list[tuple[int, int]] = []
    a = b = 0
    while a < len(before) and b < len(after):
        if sums[a][b] == sums[a + 1][b]:
            a += 1
        elif sums[a][b] == sums[a][b + 1]:
            b += 1
        else:
            pairs.append((a, b))
            a, b = a + 1, b + 1
    return pairs


def _similarity(one: Any, other: Any) -> float:
    """Return the share of equal members of two objects; 0 for other values."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return 0.0
    keys = list(one.keys() | other.keys())[:_MAX_MEMBERS]
    equal = sum(key in one and key in other and json_equal(one[key], other[key]) for key in sorted(keys))
    return equal / max(1, len(keys))


def _identities(before: Sequence[Any], after: Sequence[Any]) -> tuple[list[str], list[str]] | None:
    """Return what identifies each object of two lists, such as its `id`. None if they share too few identities."""
    items = [*before, *after]
    if not before or not after or not all(isinstance(item, dict) for item in items):
        return None
    for name in _IDENTITIES:
        sides = tuple([_identity(item.get(name)) for item in side] for side in (before, after))
        sets = tuple(set(side) for side in sides)
        is_unique = all(len(side) == len(names) and "" not in names for side, names in zip(sides, sets, strict=True))
        if is_unique and 2 * len(sets[0] & sets[1]) >= min(map(len, sets)):
            return sides[0], sides[1]
    return None


def _identity(value: Any) -> str:
    return key_of(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _keys(before: Sequence[Any], after: Sequence[Any]) -> tuple[list[str], list[str]]:
    return [*map(key_of, before)], [*map(key_of, after)]


def _is_shifted(before: Sequence[str], after: Sequence[str]) -> bool:
    """Return whether more items of two lists of the same length are equal in other places than in the same ones."""
    aligned = sum(len(one) for is_equal, one, _ in _blocks(before, after) if is_equal)
    return aligned > sum(map(str.__eq__, before, after))
