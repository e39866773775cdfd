"""Checks: pure functions, whose messages say what was expected, what was got, and where."""

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
from tests.test_matchers import PLAIN, distinguish_booleans


def call(tool: str, is_error: bool = False, text: str = "", **arguments: Any) -> Call:
    """Make a call that was made."""
    content = [{"type": "text", "text": text}]
    return Call(turn=0, tool=tool, input=arguments, is_error=is_error, content=content)


def expected(tool: str, **arguments: Any) -> ExpectedCall:
    """Make a call that is expected."""
    return ExpectedCall(tool=tool, input=arguments)


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


@pytest.mark.parametrize(
    ("expect", "stop", "made", "allow", "failed"),
    [
        ({}, "end_turn", [], False, []),
        ({}, "stop_sequence", [], False, []),
        ({}, "max_turns", [], False, ["expected the model to end its turn, got max_turns"]),
        ({}, "end_turn", [call("a", is_error=True, text="no")], True, []),
        ({"tool_errors": "allow"}, "end_turn", [call("a", is_error=True)], False, []),
        (
            {},
            "end_turn",
            [call("ok"), call("a", is_error=True, text="no\nway", x=1)],
            False,
            ["call 1: a{x: 1} returned an error: 'no way'"],
        ),
        ({"text": {"contains": ["5", "6"]}}, "end_turn", [], False, ["expected text with '6', got 'It is 5.'"]),
        (
            {"text": {"not_contains": ["6", "is"]}},
            "end_turn",
            [],
            False,
            ["expected text without 'is', got 'It is 5.'"],
        ),
        ({"text": {"equals": "It is 5."}}, "end_turn", [], False, []),
        ({"text": {"equals": "It is 5"}}, "end_turn", [], False, ["expected text 'It is 5', got 'It is 5.'"]),
        (
            {"text": {"equals": "It is  5."}},
            "end_turn",
            [],
            False,
            ["expected text 'It is <U+0020>5.', got 'It is 5.'"],
        ),
        (
            {"text": {"regex": ["^It", r"\d{2}"]}},
            "end_turn",
            [],
            False,
            ["expected text matching '\\\\d{2}', got 'It is 5.'"],
        ),
        (
            {"text": {"json_schema": {"type": "object"}}},
            "end_turn",
            [],
            False,
            [
                "expected JSON that matches the schema, got 'It is 5.':"
                " it is not JSON: Expecting value: line 1 column 1 (char 0)"
            ],
        ),
        (
            {"never": "rm_*"},
            "end_turn",
            [call("ls"), call("rm_all", x=1)],
            False,
            ["call 1: expected no call to rm_*, got rm_all{x: 1}"],
        ),
        ({"never": ["x", "y"]}, "end_turn", [call("xy")], False, []),
        ({"calls": []}, "end_turn", [], False, []),
        ({"calls": []}, "end_turn", [call("a")], False, ["call 0: expected no more calls, got a{}"]),
        ({"max_calls": 1}, "end_turn", [call("a"), call("b")], False, ["expected at most 1 calls, got 2"]),
        ({"max_turns": 2}, "end_turn", [], False, ["expected at most 2 turns, got 3"]),
        ({"max_seconds": 1}, "end_turn", [], False, ["expected at most 1.0 seconds, got 1.5"]),
        ({"max_output_tokens": 39}, "end_turn", [], False, ["expected at most 39 output tokens, got 40"]),
        ({"max_calls": 0, "max_turns": 3, "max_seconds": 1.5, "max_output_tokens": 40}, "end_turn", [], False, []),
        (
            {"calls": [{"tool": "a", "is_error": True}]},
            "end_turn",
            [call("b"), call("a", is_error=True, text="no")],
            False,
            [],
        ),
        (
            {"calls": [{"tool": "a", "is_error": True}]},
            "end_turn",
            [call("a", is_error=True), call("a", is_error=True, text="again")],
            False,
            ["call 1: a{} returned an error: 'again'"],
        ),
        (
            {"calls": [{"tool": "a", "is_error": False}]},
            "end_turn",
            [call("a", is_error=True, text="no")],
            True,
            ["call 0: expected no error from a{}, got 'no'"],
        ),
    ],
)
def test_all_checks(expect: dict[str, Any], stop: str, made: list[Call], allow: bool, failed: list[str]) -> None:
    """Every query must end its turn and, unless allowed, meet no tool error; expectations come on top."""
    outcome = Outcome(stop_reason=stop, calls=made, text="It is 5.", turns=3, elapsed=1.5, output_tokens=40)
    checks = check_all(Expect.model_validate(expect), outcome, ValueFormatter(), allow_tool_errors=allow)
    assert [check.message for check in checks if not check.passed] == failed


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


@pytest.mark.parametrize(
    ("wanted", "made", "message"),
    [
        ({"tool": "a", "input": {"x": 1}, "exact_input": True}, call("a", x=1), ""),
        (
            {"tool": "a", "input": {"x": 1}, "exact_input": True},
            call("a", x=1, y=2),
            "expected a{x: 1} exactly, got a{x: 1, y: 2}",
        ),
        ({"tool": "a", "result": "5"}, call("a", text="5"), ""),
        ({"tool": "a", "result": 5}, call("a", text="5"), ""),  # JSON within the text
        ({"tool": "a", "result": {"n": {"$type": "integer"}}}, call("a", text='{"n": 5, "m": 6}'), ""),
        ({"tool": "a", "result": {"$regex": "^5"}}, call("a", text="5 apples"), ""),
        ({"tool": "a", "result": None}, call("a", text="null"), ""),
        ({"tool": "a", "result": 6}, call("a", text="5"), "expected 6 as the result of a{}, got '5'"),
        ({"tool": "a", "is_error": True}, call("a", text="fine"), "expected an error from a{}, got 'fine'"),
    ],
)
def test_one_call(wanted: dict[str, Any], made: Call, message: str) -> None:
    """A call is expected with its input, its result, and whether it is an error."""
    assert call_checks.mismatch(ExpectedCall.model_validate(wanted), made, ValueFormatter()) == message


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
