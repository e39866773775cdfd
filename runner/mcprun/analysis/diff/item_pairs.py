"""Pair the items of two lists of JSON values, in bounded time. Pure.

Lists of the same length are paired by index unless more items are equal, or have the same identity, in other places.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from mcprun._util.alignment import MAX_EXACT, Alignment, common_ends
from mcprun._util.json_value import json_equal, key_of

_IDENTITIES = ("id", "key", "name", "uri", "path", "url", "title")
"""Keys that may identify an object among the items of a list, in order of preference."""

_MAX_COMPARED = 2_500
"""Maximum number of pairs of items whose similarity is computed. With more, changed items are paired by index."""

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
    for is_equal, one, other in _middle_blocks(*middle):
        yield is_equal, range(start + one.start, start + one.stop), range(start + other.start, start + other.stop)
    yield True, range(ends[0], len(before)), range(ends[1], len(after))


def _middle_blocks(before: Sequence[str], after: Sequence[str]) -> Iterator[Block]:
    if max(len(before), len(after)) <= MAX_EXACT:
        for tag, i, j, k, n in Alignment(before, after).get_opcodes():
            yield tag == "equal", range(i, j), range(k, n)
        return
    at = other_at = 0
    for one, other in _unique_pairs(before, after):
        if one > at or other > other_at:
            yield False, range(at, one), range(other_at, other)
        yield True, range(one, one + 1), range(other, other + 1)
        at, other_at = one + 1, other + 1
    yield False, range(at, len(before)), range(other_at, len(after))


def _unique_pairs(before: Sequence[str], after: Sequence[str]) -> list[tuple[int, int]]:
    """Pair the items that occur once on both sides, as many as keep their order: their longest increasing subsequence.

    Takes O(n log n) in time, for lists that are too long to be aligned by all of their items (patience diff).
    """
    counts = Counter(before), Counter(after)
    places = {item: at for at, item in enumerate(after) if counts[1][item] == 1}
    pairs = [(at, places[item]) for at, item in enumerate(before) if counts[0][item] == 1 and item in places]
    ends: list[int] = []  # the smallest place at which an increasing subsequence of each length ends
    last: list[int] = []  # the number of the pair there
    previous: list[int | None] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        previous.append(last[length - 1] if length else None)
        ends[length : length + 1] = [place]
        last[length : length + 1] = [number]
    chain: list[tuple[int, int]] = []
    at = last[-1] if last else None
    while at is not None:
        chain.append(pairs[at])
        at = previous[at]
    return chain[::-1]


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
    members = [*map(_members, before)], [*map(_members, after)]
    similar = [[_similarity(one, other) for other in members[1]] for one in members[0]]
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


def _members(item: Any) -> set[tuple[str, str]] | None:
    """Return the members of an object in a form that can be compared fast; None for other values."""
    if not isinstance(item, dict):
        return None
    return {(key, key_of(value)) for key, value in islice(item.items(), _MAX_MEMBERS)}


def _similarity(one: set[tuple[str, str]] | None, other: set[tuple[str, str]] | None) -> float:
    """Return the share of the members of two objects that are equal; 0 for other values."""
    return len(one & other) / max(1, len(one), len(other)) if one and other else 0.0


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
