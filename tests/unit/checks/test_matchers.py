"""Matchers stand for values that are not known exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_value import json_equal, json_same, key_of
from mcprun.checks.matchers import fits, is_matcher, problem
from tests.support.json_strategies import JSON
from tests.support.matcher_tables import PLAIN, distinguish_booleans, holds_matcher


@given(PLAIN)
def test_every_plain_value_matches_itself(value: Any) -> None:
    """A value without matchers matches itself, exactly or not."""
    assert fits(value, value)
    assert fits(value, value, exact=True)


@given(st.dictionaries(st.text(), PLAIN, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
def test_extra_keys_match_unless_exact_and_missing_keys_never_do(
    expected: dict[str, Any], extra: dict[str, Any]
) -> None:
    """An object may have extra keys unless the match is exact, and must have all expected ones."""
    if is_matcher(expected):
        return
    assert fits(expected, extra | expected)
    assert fits(expected, extra | expected, exact=True) == (extra.keys() <= expected.keys())
    for key in expected:
        assert not fits(expected, {name: expected[name] for name in expected if name != key})


@given(JSON, JSON)
def test_json_equality_agrees_with_python_except_for_booleans(one: Any, other: Any) -> None:
    """`json_equal` agrees with Python's `==`, except that true and 1 differ, as they do in JSON."""
    assert json_equal(one, other) == (distinguish_booleans(one) == distinguish_booleans(other))
    assert json_equal(one, one)
    if json_equal(one, other) and not holds_matcher(one):
        assert fits(one, other)


@given(JSON, JSON)
def test_keys_are_equal_only_for_equal_values(one: Any, other: Any) -> None:
    """`key_of` returns the same key for equal values and different keys for others."""
    assert json_equal(one, other) == json_same(one, other) == (key_of(one) == key_of(other))
    assert key_of(one) == key_of(json.loads(json.dumps(one)))


NUMBERS = [
    (1, 1.0, True),
    (0, -0.0, False),
    (math.nan, math.nan, "NaN"),
    (math.inf, math.inf, -math.inf),
    (10**22, 1e22, 10**22 + 1),
    (2**53 + 1, 2**53 + 1, float(2**53)),
]


@pytest.mark.parametrize(("one", "equal", "other"), NUMBERS)
@pytest.mark.parametrize("nest", [lambda value: value, lambda value: [value], lambda value: {"a": [{"b": value}]}])
def test_numbers_are_compared_by_value(one: Any, equal: Any, other: Any, nest: Callable[[Any], Any]) -> None:
    """Every comparison compares numbers by value, at any depth."""
    one, equal, other = nest(one), nest(equal), nest(other)
    for compare in (
        json_equal,
        json_same,
        fits,
        lambda a, b: key_of(a) == key_of(b),
        lambda a, b: fits({"$equals": a}, b),
    ):
        assert compare(one, equal)
        assert compare(equal, one)
        assert not compare(one, other)
        assert not compare(other, one)
    assert fits({"$oneof": [other, one]}, equal)
    assert not fits({"$oneof": [one, equal]}, other)


def test_deeply_nested_values_are_compared() -> None:
    """Values nested more deeply than Python's recursion limit can be compared."""
    deep: tuple[Any, Any] = (1, True)
    for _ in range(5000):
        deep = [deep[0]], [deep[1]]
    assert json_equal(deep[0], deep[0])
    assert not json_equal(*deep)


@pytest.mark.parametrize(
    ("matcher", "message"),
    [
        ({"$any": False}, "$any must be true"),
        (
            {"$regex": "("},
            "$regex: '(' is not a valid regular expression: missing ), unterminated subpattern at position 0",
        ),
        ({"$regex": 5}, "$regex must be text"),
        ({"$oneof": []}, "$oneof must be a non-empty list"),
        ({"$oneof": "C"}, "$oneof must be a non-empty list"),
        ({"$oneof": [{"$regex": 5}]}, "$regex must be text"),
        (
            {"$type": "int"},
            "$type must be one of string, integer, number, boolean, object, array, null, or a list of them",
        ),
        (
            {"$type": []},
            "$type must be one of string, integer, number, boolean, object, array, null, or a list of them",
        ),
        ({"$approx": "3"}, "$approx must be a number"),
        ({"$approx": 3, "within": -1}, "within must be a number of at least 0"),
        ({"$any": True, "$type": "string"}, "$any and $type can't be combined in one matcher"),
        ({"$any": True, "within": 1}, "'within' is not a matcher key; the keys are $any, $regex"),
        ({"$optional": 1}, "$optional must be true or false"),
        ({"a": [{"b": {"$nope": 1}}]}, "'$nope' is not a matcher key; the keys are $any, $regex"),
    ],
)
def test_invalid_matchers_are_reported(matcher: Any, message: str) -> None:
    """An invalid matcher is reported with its reason, at any depth."""
    assert (problem(matcher) or "").startswith(message)
