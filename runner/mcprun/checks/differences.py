"""Find the places where a value differs from an expected one, in which matchers may replace values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from mcprun._util.code_points import look_alike
from mcprun._util.json_path import child_path
from mcprun._util.json_value import json_equal
from mcprun.checks.matchers import fits, is_matcher
from mcprun.evaluation.evaluator import EvaluationError

_MAX_KEYS = 1_000
"""Maximum number of keys among which one is sought that looks like a missing one."""

_MAX_ITEMS = 3
"""Maximum number of missing or extra items of a list that are yielded; of more, only the length is."""

_MAX_SCORED = 100
"""Maximum number of differences that count towards a score."""

_SCORES = {"value": 1, "length": 2, "missing": 2, "extra": 2}
"""A missing key counts more than another value: among two results, the one with the expected keys is the nearer."""

Mode = Literal["subset", "exact", "literal"]
"""Whether objects may have more keys than expected (`subset`), and whether matchers are plain objects (`literal`)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where a value differs from the expected one.

    `path` is relative to the compared values, such as `items[0].name`. `what` is another `value`, another `length` of a
    list, or a key or item that is `missing` or `extra`. `expected` is None if the item is extra, and `got` if it is
    missing. `alike` is the path of a key that looks like a missing one.
    """

    path: str
    what: Literal["value", "length", "missing", "extra"]
    expected: Any = None
    got: Any = None
    alike: str = ""


def differences(expected: Any, got: Any, *, exact: bool = False) -> Iterator[Difference]:
    """Yield the differences, in the order of the expected value; at least one if and only if `fits` returns False.

    A pattern that runs out of time is not reported as a difference.
    """
    return _differences(expected, got, "exact" if exact else "subset", "")


def score(expected: Any, got: Any, *, exact: bool = False) -> int:
    """Return how much a value differs from the expected one. 0 if it does not."""
    found = islice(differences(expected, got, exact=exact), _MAX_SCORED)
    return sum(_SCORES[difference.what] for difference in found)


def _differences(expected: Any, got: Any, mode: Mode, path: str) -> Iterator[Difference]:
    if mode != "literal" and is_matcher(expected):
        if "$equals" in expected:
            yield from _differences(expected["$equals"], got, "literal", path)
        elif not _fits(expected, got, mode):
            yield Difference(path, "value", expected, got)
    elif isinstance(expected, dict) and isinstance(got, dict):
        yield from _key_differences(expected, got, mode, path)
    elif isinstance(expected, list) and isinstance(got, list):
        yield from _item_differences(expected, got, mode, path)
    elif not json_equal(expected, got):
        yield Difference(path, "value", expected, got)


def _key_differences(expected: dict[str, Any], got: dict[str, Any], mode: Mode, path: str) -> Iterator[Difference]:
    for key, value in expected.items():
        if key in got:
            yield from _differences(value, got[key], mode, child_path(path, key))
        elif mode == "literal" or not is_matcher(value) or value.get("$optional") is not True:
            alike = next((other for other in islice(got, _MAX_KEYS) if look_alike(key, other)), None)
            yield Difference(
                child_path(path, key), "missing", value, alike="" if alike is None else child_path(path, alike)
            )
    if mode != "subset":
        for key in got:
            if key not in expected:
                yield Difference(child_path(path, key), "extra", got=got[key])


def _item_differences(expected: Sequence[Any], got: Sequence[Any], mode: Mode, path: str) -> Iterator[Difference]:
    """Yield the differences of two lists. In lists of different length, skip what both begin and end with."""
    if len(expected) == len(got):
        for at, (one, other) in enumerate(zip(expected, got, strict=True)):
            yield from _differences(one, other, mode, child_path(path, at))
        return
    yield Difference(path, "length", expected, got)
    start = _shared(expected, got, mode)
    end = _shared(expected[start:][::-1], got[start:][::-1], mode)
    middle, other_middle = expected[start : len(expected) - end], got[start : len(got) - end]
    for at, (one, other) in enumerate(zip(middle, other_middle, strict=False), start):
        yield from _differences(one, other, mode, child_path(path, at))
    both = start + min(len(middle), len(other_middle))
    if abs(len(expected) - len(got)) > _MAX_ITEMS:
        return
    for at in range(both, len(expected) - end):
        yield Difference(child_path(path, at), "missing", expected[at])
    for at in range(both, len(got) - end):
        yield Difference(child_path(path, at), "extra", got=got[at])


def _shared(expected: Sequence[Any], got: Sequence[Any], mode: Mode) -> int:
    """Count the leading items that match."""
    pairs = enumerate(zip(expected, got, strict=False))
    return next((at for at, (one, other) in pairs if not _fits(one, other, mode)), min(len(expected), len(got)))


def _fits(expected: Any, got: Any, mode: Mode) -> bool:
    if mode == "literal":
        return json_equal(expected, got)
    try:
        return fits(expected, got, exact=mode == "exact")
    except EvaluationError:  # a message about other differences is more useful than none
        return True
