"""Grade the first turn of a conversation against the calls that a query expects. Pure.

No call has been made, so only the tools and inputs of expected calls count, and the tools that must not be called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mcprun.checks.evaluate import COMPLETE_STOP_REASONS, check_never, check_stop_reason, unknown_tool
from mcprun.checks.expect import Expect, ExpectedCall
from mcprun.checks.one_call import mismatch, suits
from mcprun.runs.transcript import Call, Check, RoutedCall
from mcprun.tools.format import ValueFormatter, first_few

FIRST_TURN_STOPS = COMPLETE_STOP_REASONS | {"tool_use", "pause_turn"}
"""Stop reasons of a turn that is complete."""


@dataclass(frozen=True, slots=True)
class FirstTurn:
    """The first turn of a conversation: its stop reason, and the calls that the model asked for, in order.

    `unknown_tools` maps the name of each expected tool that the server does not list to the most similar one.
    """

    stop_reason: str
    calls: Sequence[RoutedCall]
    unknown_tools: Mapping[str, str] = field(default_factory=dict)


def expected_first(expect: Expect) -> Sequence[ExpectedCall]:
    """Return the calls that the first turn may make: the first one if they are `in_order`, else any of them."""
    calls = [
        ExpectedCall(tool=call.tool, input=call.input, exact_input=call.exact_input) for call in expect.calls or ()
    ]
    return calls[:1] if expect.match == "in_order" else calls


def check_route(expect: Expect, turn: FirstTurn, formatter: ValueFormatter) -> Iterator[Check]:
    """Yield the checks of a first turn: that it is complete, that it calls what is expected, and nothing forbidden.

    Raises `EvaluationError` if a pattern of a matcher runs out of time.
    """
    made = [as_call(call) for call in turn.calls]
    if turn.stop_reason not in FIRST_TURN_STOPS:
        yield check_stop_reason(turn.stop_reason)
    problem = _problem(expect, made, formatter)
    if problem:
        tools = dict.fromkeys(call.tool for call in expected_first(expect))
        problem += "".join(unknown_tool(tool, turn.unknown_tools, formatter) for tool in tools)
    yield Check(check="route", passed=not problem, message=problem or None)
    if expect.never is not None:
        yield check_never(expect.never, made, formatter)


def has_right_input(expected: Sequence[ExpectedCall], calls: Sequence[RoutedCall]) -> bool:
    """Return whether one of the calls matches an expected one, with its input."""
    return any(suits(wanted, as_call(call)) for wanted in expected for call in calls)


def as_call(call: RoutedCall) -> Call:
    """Return a requested call as one without a result, to compare and describe it as others."""
    return Call(turn=0, tool=call.tool, input=call.input, is_error=False, content=[])


def _problem(expect: Expect, made: Sequence[Call], formatter: ValueFormatter) -> str:
    """Return why a first turn with these calls is not the expected one; empty if it is."""
    expected = expected_first(expect)
    got = first_few(made, formatter.call) if made else "no call"
    if not expected:
        return f"expected no call, got {got}" if made else ""
    if not made:
        return f"expected a call to {_names(expected, formatter)}, got no call"
    if expect.match == "in_order":
        return "" if any(suits(expected[0], call) for call in made) else _nearest(expected, made, got, formatter)
    wrong = [call for call in made if not any(suits(wanted, call) for wanted in expected)]
    return _nearest(expected, wrong, got, formatter) if wrong else ""


def _nearest(expected: Sequence[ExpectedCall], made: Sequence[Call], got: str, formatter: ValueFormatter) -> str:
    """Return how the call of an expected tool differs, if there is one, else which tools were expected."""
    for wanted in expected:
        for call in made:
            if call.tool == wanted.tool:
                return f"{mismatch(wanted, call, formatter)} ({formatter.call(call)})"
    return f"expected a call to {_names(expected, formatter)}, got {got}"


def _names(expected: Sequence[ExpectedCall], formatter: ValueFormatter) -> str:
    return " or ".join(dict.fromkeys(formatter.name(call.tool) for call in expected))
