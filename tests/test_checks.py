"""Checks: pure functions, whose messages say what was expected, what was got, and where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.checks import Show, check_all, check_calls_in_order, is_subset
from mcprun.queries import Expect, ExpectedCall
from mcprun.records import Call
from tests.test_queries import JSON


def call(tool: str, is_error: bool = False, text: str = "", **arguments: Any) -> Call:
    """Make a call that was made."""
    content = [{"type": "text", "text": text}]
    return Call(turn=0, tool=tool, input=arguments, is_error=is_error, content=content)


def expected(tool: str, **arguments: Any) -> ExpectedCall:
    """Make a call that is expected."""
    return ExpectedCall(tool=tool, input=arguments)


@given(JSON)
def test_everything_is_a_subset_of_itself(value: Any) -> None:
    """What is expected to the letter is found."""
    assert is_subset(value, value)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.dictionaries(st.text(), JSON, max_size=4))
def test_more_keys_do_not_matter_and_missing_ones_do(wanted: dict[str, Any], more: dict[str, Any]) -> None:
    """An object may hold more than is expected, never less."""
    assert is_subset(wanted, more | wanted)
    for key in wanted:
        assert not is_subset(wanted, {name: wanted[name] for name in wanted if name != key})


@given(JSON.filter(lambda value: not isinstance(value, (dict, list))), JSON)
def test_plain_values_are_equal_as_json(one: Any, other: Any) -> None:
    """A plain value fits what Python calls equal, but for true and 1, which JSON tells apart."""
    same_kind = isinstance(one, bool) == isinstance(other, bool)
    assert is_subset(one, other) == (one == other and same_kind)


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
    check = check_calls_in_order(wanted, made, Show())
    assert (check.passed, check.message) == (message is None, message)


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
            ["call 1: a{x: 1} came back as an error: 'no way'"],
        ),
        ({"text": {"contains": ["5", "6"]}}, "end_turn", [], False, ["expected text with '6', got 'It is 5.'"]),
    ],
)
def test_all_checks(expect: dict[str, Any], stop: str, made: list[Call], allow: bool, failed: list[str]) -> None:
    """Every query must end its turn and, unless allowed, meet no tool error; expectations come on top."""
    checks = check_all(
        Expect.model_validate(expect), stop=stop, calls=made, text="It is 5.", allow_tool_errors=allow, show=Show()
    )
    assert [check.message for check in checks if not check.passed] == failed


def test_long_inputs_are_cut_short() -> None:
    """A message stays readable, whatever the input."""
    assert len(Show().call(call("a", x="y" * 10_000))) < 300
