"""The first turn of a conversation against the calls that a query expects."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.checks.expect import Expect
from mcprun.checks.route import FirstTurn, check_route
from mcprun.runs.transcript import RoutedCall
from mcprun.tools.format import ValueFormatter

ADD, SUB = {"tool": "add", "input": {"a": 1}}, {"tool": "sub"}


def problems(expect: dict[str, Any], *calls: dict[str, Any], stop: str = "tool_use") -> list[str]:
    """Return the messages of the checks that fail for a first turn with these calls."""
    turn = FirstTurn(stop, [RoutedCall(tool=call["tool"], input=call.get("input", {})) for call in calls])
    checks = check_route(Expect.model_validate(expect), turn, ValueFormatter())
    return [f"{check.check}: {check.message}" for check in checks if not check.passed]


@pytest.mark.parametrize(
    ("expect", "calls", "problem"),
    [
        ({"calls": [ADD, SUB]}, [ADD], None),  # in order: the first expected call is among the calls
        ({"calls": [ADD, SUB]}, [SUB, ADD], None),
        ({"calls": [ADD, SUB]}, [SUB], "route: expected a call to add, got sub{}"),
        ({"calls": [ADD]}, [{"tool": "add", "input": {"a": 2}}], "route: input.a: expected 1, got 2 (add{a: 2})"),
        ({"calls": [ADD]}, [], "route: expected a call to add, got no call"),
        ({"calls": [ADD, SUB], "match": "exact"}, [SUB], None),  # only expected tools, at least one
        ({"calls": [ADD, SUB], "match": "any_order"}, [SUB, ADD], None),
        ({"calls": [ADD, SUB], "match": "any_order"}, [], "route: expected a call to add or sub, got no call"),
        ({"calls": [ADD], "match": "exact"}, [ADD, SUB], "route: expected a call to add, got add{a: 1}; sub{}"),
        ({"calls": [ADD, SUB], "match": "any_order"}, [SUB, {"tool": "add", "input": {"a": 2}}], "route: input.a: expected 1, got 2 (add{a: 2})"),
        ({"calls": []}, [], None),
        ({"calls": [], "match": "any_order"}, [SUB], "route: expected no call, got sub{}"),
        ({"calls": []}, [SUB], "route: expected no call, got sub{}"),
        ({"calls": [SUB], "never": "add"}, [SUB, ADD], "never: call 1: expected no call to add, got add{a: 1}"),
        ({"calls": [{**ADD, "result": 5, "is_error": True}], "text": {"contains": "5"}, "max_calls": 0}, [ADD], None),
        ({"calls": [{"tool": "add", "input": {"a": {"$type": "string"}}}]}, [{"tool": "add", "input": {"a": "xy"}}], None),
        ({"calls": [{"tool": "add", "input": {}, "exact_input": True}]}, [ADD], 'route: input.a: not expected, got 1 (add{a: 1})'),
    ],
)  # fmt: skip
def test_only_tools_and_inputs_of_the_first_turn_are_graded(
    expect: dict[str, Any], calls: list[dict[str, Any]], problem: str | None
) -> None:
    """What is expected of results, of the text and of the whole conversation is left out."""
    assert problems(expect, *calls) == ([problem] if problem else [])


@pytest.mark.parametrize("stop", ["tool_use", "end_turn", "stop_sequence", "pause_turn"])
def test_a_complete_turn_may_end_in_several_ways(stop: str) -> None:
    """A turn without calls ends with `end_turn`."""
    assert problems({"calls": []}, stop=stop) == []


def test_a_turn_that_was_cut_short_fails() -> None:
    """Its calls may be incomplete."""
    cut = "ended: stopped at the limit of tokens per reply (`--max-tokens`)"
    assert problems({"calls": [ADD]}, ADD, stop="max_tokens") == [cut]
