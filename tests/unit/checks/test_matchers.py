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
def test_everything_fits_itself(value: Any) -> None:
    """What is expected to the letter is found, exactly or not."""
    assert fits(value, value)
    assert fits(value, value, exact=True)


@given(st.dictionaries(st.text(), PLAIN, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
def test_more_keys_do_not_matter_and_missing_ones_do(wanted: dict[str, Any], more: dict[str, Any]) -> None:
    """An object may hold more than is expected, unless exactly that is expected, and never less."""
    if is_matcher(wanted):
        return
    assert fits(wanted, more | wanted)
    assert fits(wanted, more | wanted, exact=True) == (more.keys() <= wanted.keys())
    for key in wanted:
        assert not fits(wanted, {name: wanted[name] for name in wanted if name != key})


@given(JSON, JSON)
def test_equal_is_what_python_calls_equal(one: Any, other: Any) -> None:
    """But for true and 1, which JSON tells apart: as text they differ."""
    assert json_equal(one, other) == (distinguish_booleans(one) == distinguish_booleans(other))
    assert json_equal(one, one)
    if json_equal(one, other) and not holds_matcher(one):
        assert fits(one, other)


@given(JSON, JSON)
def test_a_key_is_shared_by_equal_values_alone(one: Any, other: Any) -> None:
    """Calls are aligned, and repeats counted, by these."""
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


@pytest.mark.parametrize(("one", "alike", "other"), NUMBERS)
@pytest.mark.parametrize("within", [lambda value: value, lambda value: [value], lambda value: {"a": [{"b": value}]}])
def test_numbers_are_compared_by_value(one: Any, alike: Any, other: Any, within: Callable[[Any], Any]) -> None:
    """At any depth, and by everything that compares values."""
    one, alike, other = within(one), within(alike), within(other)
    for compare in (
        json_equal,
        json_same,
        fits,
        lambda a, b: key_of(a) == key_of(b),
        lambda a, b: fits({"$equals": a}, b),
    ):
        assert compare(one, alike)
        assert compare(alike, one)
        assert not compare(one, other)
        assert not compare(other, one)
    assert fits({"$oneof": [other, one]}, alike)
    assert not fits({"$oneof": [one, alike]}, other)


def test_deep_values_are_compared() -> None:
    """They may have more levels than Python has frames."""
    deep: tuple[Any, Any] = (1, True)
    for _ in range(5000):
        deep = [deep[0]], [deep[1]]
    assert json_equal(deep[0], deep[0])
    assert not json_equal(*deep)


@pytest.mark.parametrize(
    ("matcher", "message"),
    [
        ({"$any": False}, "$any must be true"),
        ({"$regex": "("}, "$regex is not a valid regular expression: missing ), unterminated subpattern at position 0"),
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
def test_matchers_that_are_none(matcher: Any, message: str) -> None:
    """What can't be meant is named, wherever it stands."""
    assert (problem(matcher) or "").startswith(message)


@given(
    JSON
    | st.dictionaries(st.sampled_from(["$any", "$regex", "$oneof", "$type", "$approx", "within", "$optional"]), JSON)
)
def test_any_value_has_a_problem_or_can_be_matched(value: Any) -> None:
    """Whatever is written down as expected is refused with a reason, or can be held against anything."""
    if problem(value) is None:
        others: list[Any] = [None, 1, "x", [], {}, value]
        for got in others:
            assert fits(value, got) in (True, False)
