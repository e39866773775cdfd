"""Checks are pure functions whose messages show expected, actual and position."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.checks import calls as call_checks
from mcprun.checks.evaluate import Outcome, check_all, check_text
from mcprun.checks.expect import Expect, ExpectedCall, ExpectedText
from mcprun.checks.one_call import mismatch
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.support.expectations import call, expected
from tests.support.matcher_tables import PLAIN, distinguish_booleans


@pytest.mark.parametrize(
    ("expected_calls", "actual_calls", "message"),
    [
        ([], [], None),
        ([expected("a")], [call("a", x=1)], None),
        ([expected("a"), expected("b")], [call("a"), call("x"), call("b")], None),
        ([expected("a")], [], "expected call 0 is missing: a{}; got no calls"),
        (
            [expected("add", a=2, b=3)],
            [call("add", a=2, b=4)],
            "expected call 0 differs from call 0, add{a: 2, b: 4}: input.b: expected 3, got 4",
        ),
        (
            [expected("a"), expected("b")],
            [call("b"), call("a")],
            "expected call 1 is missing: b{}; got no more calls after call 1, a{}",
        ),
        (
            [expected("a"), expected("b")],
            [call("a"), call("c", x="é")],
            'expected call 1 is missing: b{}; got call 1, c{x: "é"}',
        ),
        (
            [expected("a", x=1)],
            [call("b"), call("a", x=2)],
            "expected call 0 differs from call 1, a{x: 2}: input.x: expected 1, got 2",  # the same tool with another input is more informative than another tool
        ),
    ],
)
def test_in_order_allows_other_calls_in_between(
    expected_calls: list[ExpectedCall], actual_calls: list[Call], message: str | None
) -> None:
    """Expected calls are matched in order, with other calls in between.

    The message names the first one that is missing.
    """
    found, problem = call_checks.in_order(expected_calls, actual_calls, ValueFormatter())
    assert (problem or None) == message
    assert (len(found) == len(expected_calls)) == (message is None)


@pytest.mark.parametrize("allow", [True, False])
def test_errors_of_unlisted_tools_pass_only_if_expected(allow: bool) -> None:
    """An error result of a tool that the server does not list passes only if the query expects it.

    Other results always pass.
    """
    calls = [call("gone", text="fine"), call("gone", is_error=True, text="no"), call("a", is_error=True)]
    outcome = Outcome(stop_reason="end_turn", calls=calls, text="", unlisted={0, 1})
    expect = Expect.model_validate({"tool_errors": "allow"} if allow else {})
    messages = [
        check.message
        for check in check_all(expect, outcome, ValueFormatter(), allow_tool_errors=True)
        if not check.passed
    ]
    assert messages == ["call 1: expected a tool that the server lists, got gone{}: 'no'"]
    expect = Expect.model_validate({"calls": [{"tool": "gone", "is_error": True}]})
    assert all(check.passed for check in check_all(expect, outcome, ValueFormatter(), allow_tool_errors=True))


@pytest.mark.parametrize("allow", [True, False])
def test_an_unknown_tool_comes_with_the_most_similar_one(allow: bool) -> None:
    """The messages of failed calls and of expected calls name the tool that was probably meant."""
    calls = [call("statz", is_error=True, text="no such tool")]
    outcome = Outcome(
        stop_reason="end_turn", calls=calls, text="", unlisted={0}, unknown_tools={"statz": "stats", "zzz": ""}
    )
    expect = Expect.model_validate({"calls": [{"tool": "zzz"}]})
    messages = [
        check.message
        for check in check_all(expect, outcome, ValueFormatter(), allow_tool_errors=allow)
        if check.message
    ]
    assert len(messages) == 2
    assert messages[0].endswith("(the server has no tool 'statz'; did you mean 'stats'?)")
    assert messages[1].endswith("(the server has no tool 'zzz')")


def test_text_blocks_are_joined_by_line_breaks() -> None:
    """The text blocks of a result are joined by line breaks, and escaped into one line."""
    texts = [{"type": "text", "text": text} for text in ("two\nwords", "a  note")]
    failed_call = Call(turn=0, tool="t", input={}, is_error=True, content=texts)
    assert ValueFormatter().result(failed_call) == repr("two words\na note")
    assert ValueFormatter(lambda text: text.replace("note", "***")).result(failed_call) == repr("two words\na ***")


def test_long_inputs_are_truncated() -> None:
    """A formatted call is shorter than 300 characters, whatever its input."""
    assert len(ValueFormatter().call(call("a", x="y" * 10_000))) < 300


def test_a_token_limit_fails_without_reported_tokens() -> None:
    """A script reports no tokens, so an expected maximum fails with a message that says so."""
    checks = check_all(
        Expect(max_output_tokens=5), Outcome(stop_reason="end_turn", calls=[], text=""), ValueFormatter()
    )
    assert [check.message for check in checks if not check.passed] == [
        "the model reported no output tokens, at most 5 allowed"
    ]


def test_structured_results_match_with_and_without_their_wrapper() -> None:
    """An expected result matches the structured content, or the value of the `result` key that SDKs wrap it in."""
    recorded = Call(turn=0, tool="a", input={}, is_error=False, content=[], structured={"result": [1, 2]})
    for result in ({"result": [1, 2]}, [1, 2], {"result": {"$type": "array"}}):
        assert mismatch(ExpectedCall(tool="a", result=result), recorded, ValueFormatter()) == ""
    assert mismatch(ExpectedCall(tool="a", result=[1]), recorded, ValueFormatter())


tool_names = st.lists(st.sampled_from("abc"), max_size=6)


@given(tool_names, tool_names)
def test_match_modes_agree_with_their_definitions(expected_names: list[str], called_names: list[str]) -> None:
    """`exact` is equality, `in_order` a subsequence, `any_order` a contained multiset. A mismatch has a message."""
    expected_calls, calls = [expected(name) for name in expected_names], [call(name) for name in called_names]
    remaining = iter(called_names)
    expected_outcomes = {
        "exact": expected_names == called_names,
        "in_order": all(name in remaining for name in expected_names),
        "any_order": not Counter(expected_names) - Counter(called_names),
    }
    for match, holds in expected_outcomes.items():
        found, problem = getattr(call_checks, match)(expected_calls, calls, ValueFormatter())
        assert (problem == "") == holds
        if holds:
            assert sorted(found) == list(range(len(expected_names)))
            assert len(set(found.values())) == len(expected_names)
            assert all(called_names[found[number]] == name for number, name in enumerate(expected_names))


def test_any_order_reassigns_calls_if_needed() -> None:
    """A call that matches two expectations is assigned to the one that no other call matches."""
    expected_calls = [expected("a"), expected("a", x=1)]
    calls = [call("a", x=1), call("a", x=2)]
    assert call_checks.any_order(expected_calls, calls, ValueFormatter()) == ({0: 1, 1: 0}, "")
    assert call_checks.any_order([*expected_calls, expected("a", x=2)], calls, ValueFormatter())[1] == (
        "expected call 2 is missing: a{x: 2}; got no other calls"
    )


VALUES = st.sampled_from([0, 1, 1.0, True, False, None, "1", [], [1], [True], {}, {"a": 1}, {"a": True}]) | PLAIN


@given(VALUES, VALUES)
def test_every_equality_check_agrees_with_python_except_for_booleans(one: Any, other: Any) -> None:
    """Exact inputs, results, `$equals` and `text.equals` agree with Python's `==`, except that true and 1 differ."""
    same = distinguish_booleans(one) == distinguish_booleans(other)
    recorded = call("a", x=other).model_copy(update={"structured": other, "content": []})
    for expected_call in (
        ExpectedCall(tool="a", input={"x": one}, exact_input=True),
        ExpectedCall(tool="a", input={"x": {"$equals": one}}),
    ):
        assert (mismatch(expected_call, recorded, ValueFormatter()) == "") == same
    if other is not None and not (isinstance(other, dict) and other.keys() == {"result"}) and other != "":
        expected_result = ExpectedCall(tool="a", result={"$equals": one})
        assert (mismatch(expected_result, recorded, ValueFormatter()) == "") == (
            same or one == ""
        )  # without content, the text is empty
    texts = [value for value in (one, other) if isinstance(value, str) and value]
    if len(texts) == 2:
        (check,) = check_text(ExpectedText(equals=texts[0]), texts[1], ValueFormatter())
        assert check.passed == (texts[0] == texts[1])
