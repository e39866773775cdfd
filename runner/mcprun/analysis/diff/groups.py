"""Group the identical changes of many queries, in bounded memory. Pure.

A server that changes one field changes it in every call. So the unit is a value at a place: the tool, the kind of
change, and the path without indexes. Memory holds numbers, the first few queries and one example of each value, and a
limited number of values. Further values are only counted at their place, and further places altogether.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

from mcprun._util.json_value import json_same, key_of
from mcprun.analysis.diff.describe import differences_of
from mcprun.analysis.diff.repeats import Variant
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change, What
from mcprun.analysis.diff.values import ABSENT, ValueDifference
from mcprun.runs.transcript import Verdict

NAMED = 20
"""Maximum number of queries that a group names."""

_DIFFERENCES = 100
"""Maximum number of differences of one change that are grouped. The lines of the others are counted."""

_PLACES = 1_000
"""Maximum number of places."""

_VALUES_OF_PLACE = 200
"""Maximum number of values held of one place."""

_VALUES = 10_000
"""Maximum number of values held altogether."""

_CHARS = 10_000_000
"""Maximum number of characters of the values held. Those of one value are counted as JSON."""

_FEW = 10
"""A place with more values than this, in more queries than this, is one group."""

_INDEX = re.compile(r"\[\d+\]")

_CALLS = ("call_added", "call_removed")


@dataclass(slots=True)
class Occurrences:
    """Where something occurs: the number of `queries` and `calls`, and the `first` queries, without their changes.

    `worse` is the number of queries whose verdict or pass rate became worse. Equal fingerprints mean the same places.
    """

    queries: int = 0
    calls: int = 0
    worse: int = 0
    first: list[QueryDiff] = field(default_factory=list)
    fingerprint: int = 0
    _last: int = 0

    def add(self, number: int, diff: QueryDiff, at: tuple[object, ...] = ()) -> None:
        """Count a call of the query with this `number`, counted from 1. `at` is the place of the call in the query."""
        self.calls += 1
        self.fingerprint = hash((self.fingerprint, number, at))
        if number != self._last:
            self._last = number
            self.queries += 1
            self.worse += is_worse(diff)
            if len(self.first) < NAMED:
                self.first.append(replace(diff, changes=(), variants=()))


@dataclass(frozen=True, slots=True)
class Value:
    """A value that differs: the `difference`, an `example` of the change, and the `variant` of the example's query.

    `is_same_path` is whether it has one path. `is_same_before` is whether it had one value before, which an error that
    replaces a result need not have; `is_same_after` accordingly.
    """

    number: int
    example: Change
    difference: ValueDifference
    variant: Variant | None
    occurrences: Occurrences
    is_same_path: bool = True
    is_same_before: bool = True
    is_same_after: bool = True

    @property
    def path(self) -> str:
        """The path, with `*` for indexes if it has several."""
        return self.difference.path if self.is_same_path else _INDEX.sub("[*]", self.difference.path)


@dataclass(slots=True)
class Place:
    """A place where values differ, and those of its values that are held. `left_out` lines are not."""

    number: int
    path: str
    occurrences: Occurrences = field(default_factory=Occurrences)
    values: dict[tuple[int, int], Value] = field(default_factory=dict)
    is_full: bool = False
    left_out: int = 0

    @property
    def is_group(self) -> bool:
        """Whether the place itself is the group, because its values are too many to be a group each."""
        is_varied = len(self.values) > _FEW and self.occurrences.queries > _FEW
        return is_varied or (self.is_full and self.occurrences.queries > 1)


@dataclass(frozen=True, slots=True)
class Group:
    """Identical changes: values that differ in the same calls, or all values of a `place` that has many."""

    values: tuple[Value, ...]
    occurrences: Occurrences
    place: Place | None = None
    left_out: int = 0

    @property
    def example(self) -> Change:
        """The change in the first call, without its values unless it is a call that was added or removed."""
        return self.values[0].example

    @property
    def numbers(self) -> Iterator[int]:
        """The numbers that `Groups.add` returned for these changes."""
        yield from (value.number for value in self.values)
        if self.place:
            yield self.place.number


class _PlaceKey(NamedTuple):
    what: What
    tool: str | None
    are_errors: tuple[bool, bool]
    path: str


class _Part(NamedTuple):
    change: Change
    difference: ValueDifference
    keys: tuple[str, str]
    variant: Variant | None
    left_out: int


@dataclass(slots=True)
class Groups:
    """The changes between two runs, added query by query.

    `verdicts` are the queries by their verdicts before and after, if those differ. `rates` are repeated queries whose
    pass rate has changed. `added` and `removed` are by verdict, None for repeated queries. `more` are the occurrences
    of changes that are not in any group.
    """

    verdicts: dict[tuple[str | None, str | None], Occurrences] = field(default_factory=dict)
    rates: Occurrences = field(default_factory=Occurrences)
    added: dict[str | None, Occurrences] = field(default_factory=dict)
    removed: dict[str | None, Occurrences] = field(default_factory=dict)
    more: Occurrences = field(default_factory=Occurrences)
    _places: dict[_PlaceKey, Place] = field(default_factory=dict)
    _queries: int = 0
    _number: int = 0
    _values: int = 0
    _chars: int = 0

    def add(self, diff: QueryDiff) -> list[int]:
        """Add a query, and return the numbers of its changes. Adds nothing if it raises."""
        parts = list(_parts(diff))
        self._queries += 1
        if diff.how != "changed":
            side = self.added if diff.how == "added" else self.removed
            side.setdefault(_verdict(diff), Occurrences()).add(self._queries, diff)
        elif diff.repeat is None and diff.rates[0] != diff.rates[1]:
            self.rates.add(self._queries, diff)
        elif diff.repeat is not None and diff.verdicts[0] != diff.verdicts[1]:
            self.verdicts.setdefault(diff.verdicts, Occurrences()).add(self._queries, diff)
        return list(dict.fromkeys(number for part in parts if (number := self._add(diff, part))))

    def groups(self) -> list[Group]:
        """Return the groups, in order of their first occurrence."""
        found: dict[tuple[object, ...], list[Value]] = {}
        whole: dict[int, Group] = {}
        left_out: dict[int, int] = {}
        for key, place in self._places.items():
            if place.is_group and place.values:
                most = sorted(place.values.values(), key=lambda value: -value.occurrences.queries)
                whole[place.number] = Group(tuple(most), place.occurrences, place, place.left_out)
                continue
            for value in place.values.values():
                at = (key.what, key.tool, key.are_errors, value.occurrences.fingerprint)
                found.setdefault(at, []).append(value)
                left_out[value.number] = place.left_out
                place.left_out = 0
        for values in found.values():
            omitted = sum(left_out[value.number] for value in values)
            whole[values[0].number] = Group(tuple(values), values[0].occurrences, left_out=omitted)
        return [whole[number] for number in sorted(whole)]

    def _add(self, diff: QueryDiff, part: _Part) -> int:
        """Count a difference, and return its number; 0 if it is in no group."""
        change, difference = part.change, part.difference
        at = change.call, part.variant and part.variant.repeat
        path = _INDEX.sub("[*]", difference.path) if "[" in difference.path else difference.path
        key = _PlaceKey(change.what, change.tool, change.are_errors, path)
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= _PLACES or not self._has_room(part):
                self.more.add(self._queries, diff, at)
                return 0
            self._number += 1
            place = self._places[key] = Place(self._number, path)
        place.left_out += part.left_out
        place.occurrences.add(self._queries, diff, at)
        hashes = hash(part.keys[0]), hash(part.keys[1])
        value = place.values.get(hashes)
        if value is None:
            if len(place.values) >= _VALUES_OF_PLACE or not self._has_room(part):
                place.is_full = True
                place.left_out += _lines(difference)
                return place.number
            self._number += 1
            self._values += 1
            self._chars += sum(map(len, part.keys))
            value = Value(self._number, _without_values(change), difference, part.variant, Occurrences())
        else:
            value = _merged(value, change, difference)
        place.values[hashes] = value
        value.occurrences.add(self._queries, diff, at)
        return place.number if place.is_full else value.number

    def _has_room(self, part: _Part) -> bool:
        return self._values < _VALUES and self._chars + sum(map(len, part.keys)) <= _CHARS


def is_worse(diff: QueryDiff) -> bool:
    """Return whether a query's verdict or pass rate became worse."""
    before, after = diff.rates
    if before and after and before.runs and after.runs:
        return after.passed * before.runs < before.passed * after.runs
    return diff.verdicts[0] == Verdict.PASSED and diff.verdicts[1] not in (None, Verdict.PASSED)


def _verdict(diff: QueryDiff) -> str | None:
    return next((verdict for verdict in diff.verdicts if verdict), None)


def _parts(diff: QueryDiff) -> Iterator[_Part]:
    for change in diff.changes:
        yield from _parts_of(change, None)
    for variant in diff.variants:
        for change in variant.changes:
            yield from _parts_of(change, variant)


def _parts_of(change: Change, variant: Variant | None) -> Iterator[_Part]:
    """Yield the differences of a change. The last one has the number of lines that are left out."""
    if change.what == "verdict":
        return
    if (whole := _whole(change)) is not None:
        yield _Part(change, whole, _keys(whole, change.are_errors), variant, 0)
        return
    differences = differences_of(change)
    found = list(islice(differences, _DIFFERENCES)) or [ValueDifference(("", ""), ABSENT, ABSENT)]
    left_out = sum(map(_lines, differences))
    for at, difference in enumerate(found, 1):
        keys = _keys(difference, change.are_errors)
        yield _Part(change, difference, keys, variant, left_out if at == len(found) else 0)


def _whole(change: Change) -> ValueDifference | None:
    """Return the difference of a change whose values are not compared: they are of a call, or one of them an error."""
    paths = ("", "")
    if change.what == "call_added":
        return ValueDifference(paths, ABSENT, change.after)
    if change.what == "call_removed":
        return ValueDifference(paths, change.before, ABSENT)
    if change.what == "fault":
        return ValueDifference(paths, ABSENT if change.before is None else change.before, change.after)
    if change.are_errors[0] is not change.are_errors[1]:
        return ValueDifference(paths, change.before, change.after)
    return None


def _keys(difference: ValueDifference, are_errors: tuple[bool, bool]) -> tuple[str, str]:
    """Return a text for each side that is the same for equal values.

    If an error replaced a result, or the other way round, the result's text is empty: the error is what they share.
    """
    is_loose = are_errors[0] is not are_errors[1]
    before = "" if is_loose and not are_errors[0] else _key(difference.before)
    return before, "" if is_loose and not are_errors[1] else _key(difference.after)


def _key(value: Any) -> str:
    if type(value) is str:
        return f'"{value}'
    return "" if value is ABSENT else key_of(value)


def _lines(difference: ValueDifference) -> int:
    """Return the number of lines that a difference of short values takes."""
    return 2 - (difference.before is ABSENT) - (difference.after is ABSENT)


def _without_values(change: Change) -> Change:
    return change if change.what in _CALLS else replace(change, before=None, after=None)


def _merged(value: Value, change: Change, difference: ValueDifference) -> Value:
    """Return a value with what else it has in common with another of its occurrences: its path, and a loose side."""
    known = value.difference
    is_same_path = value.is_same_path and known.path == difference.path
    is_same = [value.is_same_before, value.is_same_after]
    if change.are_errors[0] is not change.are_errors[1]:
        side = int(change.are_errors[0])  # that of the result
        pairs = (known.before, difference.before), (known.after, difference.after)
        is_same[side] = is_same[side] and json_same(*pairs[side])
    if (is_same_path, *is_same) == (value.is_same_path, value.is_same_before, value.is_same_after):
        return value
    return replace(value, is_same_path=is_same_path, is_same_before=is_same[0], is_same_after=is_same[1])
