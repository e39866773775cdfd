"""Matchers of values, including those that evaluate patterns."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.checks.matchers import fits, problem
from tests.support.json_strategies import JSON


@pytest.mark.parametrize(
    ("matcher", "good", "bad"),
    [
        ({"$any": True}, [None, 1, "", {}], []),
        ({"$regex": r"^\d+$"}, ["12"], ["a", 12, None]),
        ({"$regex": "b"}, ["abc"], ["ac"]),
        ({"$oneof": ["C", "F", None]}, ["C", None], ["K", 1]),
        ({"$oneof": [{"$regex": "^C"}, {"a": 1}]}, ["Celsius", {"a": 1, "b": 2}], ["F", {"a": 2}]),
        ({"$type": "integer"}, [1, 1.0, -5, 10**30], [1.5, True, "1", math.inf]),
        ({"$type": "number"}, [1, 1.5], [True, "1"]),
        ({"$type": ["string", "null"]}, ["", None], [0, [], {}]),
        ({"$type": "object"}, [{}], [[]]),
        ({"$type": "array"}, [[]], [{}]),
        ({"$type": "boolean"}, [True, False], [0, 1, None]),
        ({"$approx": 3.14, "within": 0.01}, [3.14, 3.149, 3.131], [3.2, "3.14", True]),
        ({"$approx": 1000000}, [1000000.5, 999999.5], [1000002, 999998]),
        ({"$approx": 0}, [0, 1e-7], [1e-5]),
        ({"$equals": {"a": [1]}}, [{"a": [1]}, {"a": [1.0]}], [{"a": [1], "b": 2}, {}]),
        ({"$equals": {"$any": True}}, [{"$any": True}], [1, {}]),
        ([{"$any": True}, 2], [[1, 2]], [[1, 3], [1], 2]),
        ({"a": {"$oneof": [1], "$optional": True}}, [{"a": 1}, {}, {"b": 2}], [{"a": 2}]),
        ({"a": {"$optional": True}}, [{"a": 1}, {}], [1]),
        ({"a": {"$optional": False}}, [{"a": 1}], [{}]),
        ({"a": {"b": {"$type": "string"}}}, [{"a": {"b": "x"}}], [{"a": {"b": 1}}, {"a": {}}]),
    ],
)
def test_matchers_accept_only_what_they_describe(matcher: Any, good: list[Any], bad: list[Any]) -> None:
    """Each matcher accepts the values that it describes, at any depth, and no others."""
    assert problem(matcher) is None
    assert [value for value in good if not fits(matcher, value)] == []
    assert [value for value in bad if fits(matcher, value)] == []


@given(
    JSON
    | st.dictionaries(st.sampled_from(["$any", "$regex", "$oneof", "$type", "$approx", "within", "$optional"]), JSON)
)
def test_any_value_is_rejected_or_can_be_matched(value: Any) -> None:
    """Any expected value either has a problem or can be compared with any value."""
    if problem(value) is None:
        actual_values: list[Any] = [None, 1, "x", [], {}, value]
        for actual in actual_values:
            assert fits(value, actual) in (True, False)
