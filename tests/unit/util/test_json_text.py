"""JSON within text: input that RFC 8259 forbids is an error with its position."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_io import dump_indented, dumps
from mcprun._util.json_text import AmbiguousError, TooDeepError, finite, holds_odd_number, levels, loads
from mcprun.analysis.diff.transcripts import result_of
from mcprun.checks.evaluate import check_text
from mcprun.checks.expect import ExpectedCall, ExpectedText
from mcprun.checks.matchers import fits
from mcprun.checks.one_call import mismatch
from mcprun.engine.grading import verdict
from mcprun.models.base import ModelReply
from mcprun.tools.format import ValueFormatter
from tests.support.runs import call

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_valid_json_is_read_like_json_loads(value: Any) -> None:
    """Strict parsing does not change valid JSON."""
    assert loads(json.dumps(value)) == value
    assert holds_odd_number(value) is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NaN", "NaN is not JSON"),
        ('{"a": [1, {"b c": -Infinity}]}', '-Infinity is not JSON (at a[1]."b c")'),
        ("[1e400]", "the number 1e400 is too large (at [0])"),
        ('{"a": {"x": 1, "y": 2, "x": 1}}', "the key 'x' appears twice in one object (at a.x)"),
        ('{"a": NaN, "a": 1}', "the key 'a' appears twice in one object (at a)"),
    ],
)
def test_ambiguous_text_is_an_error_with_its_path(text: str, expected: str) -> None:
    """Text that two parsers may read differently raises `AmbiguousError`."""
    with pytest.raises(AmbiguousError) as refused:
        loads(text)
    assert expected == str(refused.value)


@pytest.mark.parametrize("text", ["[" * 501 + "]" * 501, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000])
def test_deep_nesting_is_an_error(text: str) -> None:
    """The limit is 500 levels, independent of the Python version."""
    with pytest.raises(TooDeepError, match="nested too deeply"):
        loads(text)
    assert levels(loads("[" * 500 + "]" * 500)) == 500


def test_number_above_the_digit_limit_is_an_error() -> None:
    """`int()` reads at most 4,300 digits."""
    with pytest.raises(ValueError, match=r"^a number has more than 4,300 digits$"):
        loads("[" + "9" * 5000 + "]")


def test_duplicate_keys_are_found_in_linear_time() -> None:
    """An object with half a million keys is checked without a search for each key."""
    text = "{" + ",".join(f'"{number}":0' for number in range(500_000)) + ',"499999":0}'
    with pytest.raises(AmbiguousError, match="'499999' appears twice"):
        loads(text)


def test_nan_and_infinity_become_text() -> None:
    """Each becomes its name. A value without any is returned as the same object."""
    odd = {"a": [math.nan, 1.5, math.inf], "b": {"c": -math.inf}, "d": None}
    named = {"a": ["NaN", 1.5, "Infinity"], "b": {"c": "-Infinity"}, "d": None}
    assert finite(odd) == named
    assert finite(named) is named
    assert (holds_odd_number(odd), holds_odd_number(named)) == (True, False)
    assert json.loads(dumps(odd)) == json.loads(dump_indented(odd)) == named


AMBIGUOUS = ['{"a": NaN}', '{"a": 1, "a": 1}', '{"a": 1e400}', '{"a": Infinity}']


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_ambiguous_text_matches_only_as_text(text: str) -> None:
    """A schema and an expected value do not match, and the message gives the reason. The text itself matches."""
    (check,) = check_text(ExpectedText(json_schema={}), text, ValueFormatter())
    assert (check.passed, "(at a)" in str(check.message)) == (False, True)
    actual = call("t", text)
    reported = mismatch(ExpectedCall(tool="t", result={"a": {"$any": True}}), actual, ValueFormatter())
    assert f"got {ValueFormatter().short(text)}, which is compared as text: " in reported
    assert mismatch(ExpectedCall(tool="t", result=text), actual, ValueFormatter()) == ""


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_ambiguous_results_are_compared_as_text(text: str) -> None:
    """Runs differ as soon as the text of an ambiguous result does. A judge's ambiguous answer is not a verdict.

    A result with NaN or Infinity is compared by field: each has one meaning, and the fields next to it can be ignored.
    """
    assert isinstance(result_of(call("t", text).line()), dict) == ("N" in text or "I" in text)
    content = text.replace('"a": ', '"passed": true, "reason": "r", "a": ')
    reply = ModelReply(content=[{"type": "text", "text": content}], stop_reason="end_turn", model="m")
    assert verdict(reply)[0] is None


@pytest.mark.parametrize("digits", [401, 4300])
def test_integers_beyond_the_range_of_a_float_are_matched(digits: int) -> None:
    """JSON does not limit numbers (RFC 8259, section 6)."""
    huge = 10 ** (digits - 1)
    assert fits({"$type": "integer"}, huge)
    assert fits({"$approx": huge}, huge + 1)
    assert fits({"$approx": huge, "within": 1}, huge + 1)
    assert not fits({"$approx": huge, "within": 0.5}, huge + 1)
    assert not fits({"$approx": 1.5}, huge)
    assert not fits({"$approx": huge, "within": 0.5}, 1.5)
    assert not fits({"$approx": 1.5}, math.nan)
