"""Properties of matching calls. Patterns in expected calls are evaluated in a process of their own."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from hypothesis import given, settings

from mcprun.checks.call_index import CallIndex
from mcprun.checks.calls import any_order
from mcprun.checks.expect import ExpectedCall
from mcprun.checks.one_call import result_forms, suits
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.support.call_strategies import calls, expectations
from tests.support.examples import examples


def expect_call(tool: str = "t", **more: Any) -> ExpectedCall:
    """Build an expected call."""
    return ExpectedCall.model_validate({"tool": tool, **more})


@given(expectations, calls)
@settings(max_examples=examples(1000))
def test_any_order_agrees_with_trying_all_orders(call_specs: list[dict[str, Any]], actual_calls: list[Call]) -> None:
    """`any_order` matches if and only if some order does.

    Otherwise it names the first expected call without a match.
    """
    expected = [expect_call(**spec) for spec in call_specs]

    def fits(count: int) -> bool:
        orders = permutations(actual_calls, count)
        return any(all(map(suits, expected[:count], order)) for order in orders)

    found, problem = any_order(expected, actual_calls, ValueFormatter())
    possible = next((count for count in range(len(expected), 0, -1) if fits(count)), 0)
    assert (problem == "") == (possible == len(expected))
    if problem:
        assert problem.startswith(f"expected call {possible} ")
    else:
        assert len({*found.values()}) == len(expected)
        assert all(suits(one, actual_calls[found[number]]) for number, one in enumerate(expected))


@given(expectations, calls)
def test_the_index_returns_every_matching_call_as_a_candidate(
    lines: list[dict[str, Any]], actual_calls: list[Call]
) -> None:
    """The candidates of an expected call include every call that matches it."""
    expected = [expect_call(**line) for line in lines]
    forms = [[*result_forms(call)] for call in actual_calls]
    index = CallIndex(expected, [(call.tool, call.input, form) for call, form in zip(actual_calls, forms, strict=True)])
    for one in expected:
        assert {at for at, call in enumerate(actual_calls) if suits(one, call)} <= {*index.candidates(one)}
