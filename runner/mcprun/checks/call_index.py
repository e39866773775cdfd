"""Find the calls that may match an expected call, without comparing every pair. Pure.

Calls are indexed by their tool and by the plain values in their input and result, at the places where an expected call
has a value. So each of 10,000 expected calls is compared only with the few calls that share its rarest value.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mcprun.checks.expect import ExpectedCall
from mcprun.checks.matchers import APPROX_TOLERANCE, is_matcher

ValuePath = tuple[str | int, ...]
"""The path of a value: `input` or `result`, then keys and indexes."""

_Key = tuple[bool, Any]
"""A plain value as a key: 1 equals 1.0, but `true` does not equal 1."""

_Plain = str | int | float | bool | None


class CallIndex:
    """Index of the calls by the values at each place. `parts` holds each call's tool, input and result forms."""

    def __init__(self, expected: Iterable[ExpectedCall], parts: Sequence[tuple[str, Any, Sequence[Any]]]) -> None:
        self._by_tool: dict[str, list[int]] = {}
        self._by_value: dict[ValuePath, dict[_Key, list[int]]] = {}
        self._numbers: dict[ValuePath, list[tuple[float, int]]] = {}
        places: dict[str | int, Any] = {}
        for one in expected:
            for place, _ in _leaves(one):
                node = places
                for step in place:
                    node = node.setdefault(step, {})
                self._by_value[place] = {}
        for number, (tool, arguments, results) in enumerate(parts):
            self._by_tool.setdefault(tool, []).append(number)
            self._add(number, ("input",), places.get("input", {}), arguments)
            for result in results:
                self._add(number, ("result",), places.get("result", {}), result)

    def candidates(self, expected: ExpectedCall) -> Sequence[int]:
        """Return the numbers of the calls that may match, in order: a superset of those that do."""
        fewest: Sequence[int] = self._by_tool.get(expected.tool, [])
        for place, value in _leaves(expected):
            found = self._holding(place, value)
            if found is not None and len(found) < len(fewest):
                fewest = found
        return sorted(set(fewest))

    def _add(self, number: int, path: ValuePath, expected: Mapping[str | int, Any], value: Any) -> None:
        """Index the plain values of a call at the places that an expected call uses."""
        todo = [(path, expected, value)]
        while todo:
            path, expected, value = todo.pop()
            if isinstance(value, dict):
                todo += [((*path, key), expected[key], value[key]) for key in expected.keys() & value.keys()]
            elif isinstance(value, list):
                todo += [((*path, at), expected[at], value[at]) for at in range(len(value)) if at in expected]
            elif path in self._by_value:
                self._by_value[path].setdefault(_key(value), []).append(number)

    def _holding(self, path: ValuePath, value: Any) -> Sequence[int] | None:
        """Return the calls whose value at a place may match the expected one; None if the index can't decide."""
        if not is_matcher(value):
            return self._by_value[path].get(_key(value), [])
        match value:
            case {"$optional": _}:
                return None
            case {"$equals": one} if _is_plain(one):
                return self._by_value[path].get(_key(one), [])
            case {"$oneof": [*values]} if all(_is_plain(one) for one in values):
                return [number for one in values for number in self._by_value[path].get(_key(one), ())]
            case {"$approx": near}:
                return self._in_range(path, near, value.get("within"))
        return None

    def _in_range(self, path: ValuePath, center: float, tolerance: float | None) -> Sequence[int] | None:
        """Return the calls with a number in a range slightly wider than `$approx` allows."""
        try:
            margin = (
                2 * APPROX_TOLERANCE * max(1.0, abs(center))
                if tolerance is None
                else tolerance * (1 + APPROX_TOLERANCE) + APPROX_TOLERANCE * abs(center)
            )
            low, high = center - margin, center + margin
        except OverflowError:  # an integer beyond the range of a float
            return None
        if path not in self._numbers:
            found = self._by_value[path].items()
            numbers = [(key[1], at) for key, calls in found if _is_number(key[1]) and not key[0] for at in calls]
            self._numbers[path] = sorted(numbers)
        numbers = self._numbers[path]
        begin = bisect_left(numbers, low, key=_first)
        return [number for _, number in numbers[begin : bisect_right(numbers, high, key=_first)]]


def _leaves(expected: ExpectedCall) -> Iterator[tuple[ValuePath, Any]]:
    """Yield the plain values and matchers of an expected call, with their places."""
    todo: list[tuple[ValuePath, Any]] = [(("input",), expected.input)]
    if expected.expects_result:
        todo.append((("result",), expected.result))
    while todo:
        place, value = todo.pop()
        if isinstance(value, dict) and not is_matcher(value):
            todo += [((*place, key), item) for key, item in value.items()]
        elif isinstance(value, list):
            todo += [((*place, at), item) for at, item in enumerate(value)]
        elif _is_plain(value) or isinstance(value, dict):
            yield place, value


def _key(value: _Plain) -> _Key:
    return isinstance(value, bool), value


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value  # NaN can't be sorted


def _first(pair: tuple[float, int]) -> float:
    return pair[0]
