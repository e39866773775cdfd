"""Checks are pure functions whose messages show expected, actual and place."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.checks import calls as call_checks
from mcprun.checks.evaluate import Outcome, check_all, check_text
from mcprun.checks.expect import Expect, ExpectedCall, ExpectedText
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.support.expectations import call, expected
from tests.support.matcher_tables import PLAIN, distinguish_booleans


@pytest.mark.parametrize(
    ("wanted", "made", "message"),
    [
        ([], [], None),
        ([expected("a")], [call("a", x=1)], None),
        ([expected("a"), expected("b")], [call("a"), call("x"), call("b")], None),
        ([expected("a")], [], "call 0: expected a{}, got no calls"),
        ([expected("add", a=2, b=3)], [call("add", a=2, b=4)], "call 0: expected add{a: 2, b: 3}, got add{a: 2, b: 4}"),
        ([expected("a"), expected("b")], [call("b"), call("a")], "call 1: expected b{}, got no more calls after a{}"),
        ([expected("a"), expected("b")], [call("a"), call("c", x="é")], 'call 1: expected b{}, got c{x: "é"}'),
        (
            [expected("a", x=1)],
            [call("b"), call("a", x=2)],
            "call 0: expected a{x: 1}, got a{x: 2}",  # the same tool called otherwise says more than another tool
        ),
    ],
)
def test_calls_in_order(wanted: list[ExpectedCall], made: list[Call], message: str | None) -> None:
    """Expected calls are found in order, others in between; the first that is not is named."""
    found, problem = call_checks.in_order(wanted, made, ValueFormatter())
    assert (problem or None) == message
    assert (len(found) == len(wanted)) == (message is None)


@pytest.mark.parametrize("allow", [True, False])
def test_errors_of_tools_that_are_not_there(allow: bool) -> None:
    """They are allowed only where they are expected; what a tool answers that is not listed is as good as any."""
    calls = [call("gone", text="fine"), call("gone", is_error=True, text="no"), call("a", is_error=True)]
    outcome = Outcome(stop_reason="end_turn", calls=calls, text="", unlisted={0, 1})
    expect = Expect.model_validate({"tool_errors": "allow"} if allow else {})
    lines = [
        check.message
        for check in check_all(expect, outcome, ValueFormatter(), allow_tool_errors=True)
        if not check.passed
    ]
    assert lines == ["call 1: expected a tool that the server lists, got gone{}: 'no'"]
    expect = Expect.model_validate({"calls": [{"tool": "gone", "is_error": True}]})
    assert all(check.passed for check in check_all(expect, outcome, ValueFormatter(), allow_tool_errors=True))


def test_blocks_of_a_result_are_told_apart() -> None:
    """By a line break, in a message of one line."""
    texts = [{"type": "text", "text": text} for text in ("two\nwords", "a  note")]
    made = Call(turn=0, tool="t", input={}, is_error=True, content=texts)
    assert ValueFormatter().result(made) == repr("two words\na note")
    assert ValueFormatter(lambda text: text.replace("note", "***")).result(made) == repr("two words\na ***")


def test_long_inputs_are_cut_short() -> None:
    """A message stays readable, whatever the input."""
    assert len(ValueFormatter().call(call("a", x="y" * 10_000))) < 300


def test_tokens_that_nobody_counted_do_not_hold() -> None:
    """A script has no tokens: an expectation of them fails, and says why."""
    checks = check_all(
        Expect(max_output_tokens=5), Outcome(stop_reason="end_turn", calls=[], text=""), ValueFormatter()
    )
    assert [check.message for check in checks if not check.passed] == [
        "expected at most 5 output tokens, but the model reported none"
    ]


def test_structured_results() -> None:
    """What is structured may be expected as it is, or as what stands in the `result` that servers wrap it in."""
    made = Call(turn=0, tool="a", input={}, is_error=False, content=[], structured={"result": [1, 2]})
    for result in ({"result": [1, 2]}, [1, 2], {"result": {"$type": "array"}}):
        assert call_checks.mismatch(ExpectedCall(tool="a", result=result), made, ValueFormatter()) == ""
    assert call_checks.mismatch(ExpectedCall(tool="a", result=[1]), made, ValueFormatter())


names = st.lists(st.sampled_from("abc"), max_size=6)


@given(names, names)
def test_how_calls_are_aligned(wanted: list[str], made: list[str]) -> None:
    """`exact` is equality, `in_order` a subsequence, `any_order` a multiset that is contained; each says so or why not."""
    expected_calls, calls = [expected(name) for name in wanted], [call(name) for name in made]
    rest = iter(made)
    truth = {
        "exact": wanted == made,
        "in_order": all(name in rest for name in wanted),
        "any_order": not Counter(wanted) - Counter(made),
    }
    for match, holds in truth.items():
        found, problem = getattr(call_checks, match)(expected_calls, calls, ValueFormatter())
        assert (problem == "") == holds
        if holds:
            assert sorted(found) == list(range(len(wanted)))
            assert len(set(found.values())) == len(wanted)
            assert all(made[found[number]] == name for number, name in enumerate(wanted))


def test_any_order_finds_a_way_where_there_is_one() -> None:
    """A call that fits two expectations is left to the one that has no other."""
    wanted = [expected("a"), expected("a", x=1)]
    made = [call("a", x=1), call("a", x=2)]
    assert call_checks.any_order(wanted, made, ValueFormatter()) == ({0: 1, 1: 0}, "")
    assert call_checks.any_order([*wanted, expected("a", x=2)], made, ValueFormatter())[1] == (
        "call 2: expected a{x: 2}, got no calls"
    )


SOME = st.sampled_from([0, 1, 1.0, True, False, None, "1", [], [1], [True], {}, {"a": 1}, {"a": True}]) | PLAIN


@given(SOME, SOME)
def test_equals_is_pythons_in_every_check(one: Any, other: Any) -> None:
    """Exact inputs, results and `$equals` hold for what Python calls equal, but for true and 1; so does `text.equals`."""
    same = distinguish_booleans(one) == distinguish_booleans(other)
    made = call("a", x=other).model_copy(update={"structured": other, "content": []})
    for wanted in (
        ExpectedCall(tool="a", input={"x": one}, exact_input=True),
        ExpectedCall(tool="a", input={"x": {"$equals": one}}),
    ):
        assert (call_checks.mismatch(wanted, made, ValueFormatter()) == "") == same
    if other is not None and not (isinstance(other, dict) and other.keys() == {"result"}) and other != "":
        whole = ExpectedCall(tool="a", result={"$equals": one})
        assert (call_checks.mismatch(whole, made, ValueFormatter()) == "") == (
            same or one == ""
        )  # no content is no text
    words = [value for value in (one, other) if isinstance(value, str) and value]
    if len(words) == 2:
        (check,) = check_text(ExpectedText(equals=words[0]), words[1], ValueFormatter())
        assert check.passed == (words[0] == words[1])
