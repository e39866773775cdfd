"""Expected calls in any order: the largest possible matching, also of thousands of calls."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.checks.assignment import assign
from mcprun.checks.call_index import CallIndex
from mcprun.checks.calls import any_order
from mcprun.checks.expect import ExpectedCall
from mcprun.checks.one_call import result_forms
from mcprun.evaluation.evaluator import evaluated
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.support.call_strategies import made
from tests.support.examples import examples

MANY = 10_000


def expected_call(tool: str = "t", **more: Any) -> ExpectedCall:
    """Return an expected call."""
    return ExpectedCall.model_validate({"tool": tool, **more})


def build_staircase(steps: int) -> tuple[list[ExpectedCall], list[Call]]:
    """Return expected calls and calls where placing the last one moves all others."""
    expected = [expected_call(input={"x": {"$oneof": [step, step + 1]}}) for step in range(steps - 1)]
    return [*expected, expected_call(input={"x": 0})], [made(x=step) for step in range(steps)]


sizes = st.integers(0, 4)


async def test_many_comparisons_do_not_block_the_event_loop() -> None:
    """If each expected call may match each call, the comparison continues in a worker thread."""
    expected = [
        expected_call(input={"x": {"$type": "integer"}, "y": {"$optional": True, "$equals": at}}) for at in range(120)
    ]
    calls, threads = [made(x=at) for at in range(120)], []

    def match() -> int:
        threads.append(threading.current_thread().name)
        return len(any_order(expected, calls, ValueFormatter())[0])

    assert (await evaluated(match), len(threads)) == (120, 2)


def test_an_assignment_with_shared_supplies_terminates() -> None:
    """The assignment terminates and meets all demands.

    Here demands at different distances from an unmet one share a supply.
    """
    assert assign([1, 4, 1], [0, 2, 4, 0], [[0, 1, 3], [0, 1, 2, 3], [0, 1, 3]]) == [{1: 1}, {2: 4}, {1: 1}]


@given(st.lists(st.tuples(sizes, st.sets(st.integers(0, 3))), max_size=4), st.lists(sizes, min_size=4, max_size=4))
@settings(max_examples=examples(1000))
def test_the_assignment_is_a_maximum_flow(demands: list[tuple[int, set[int]]], supplies: list[int]) -> None:
    """The assigned units equal the minimum cut (max-flow min-cut theorem)."""
    edges = [sorted(fitting) for _, fitting in demands]
    flow = assign([units for units, _ in demands], supplies, edges)
    for (units, fitting), shares in zip(demands, flow, strict=True):
        assert shares.keys() <= fitting
        assert sum(shares.values()) <= units
        assert all(shares.values())
    used = [sum(shares.get(supply, 0) for shares in flow) for supply in range(4)]
    assert all(one <= limit for one, limit in zip(used, supplies, strict=True))
    cuts = [{at for at in range(len(demands)) if chosen >> at & 1} for chosen in range(2 ** len(demands))]
    assert sum(used) == min(
        sum(demands[at][0] for at in range(len(demands)) if at not in cut)
        + sum(supplies[supply] for supply in set().union(*(demands[at][1] for at in cut)))
        for cut in cuts
    )


@pytest.mark.parametrize("steps", [1, 2, 250, 1200, MANY])
def test_long_chains_of_reassignments_are_matched(steps: int) -> None:
    """A chain of reassignments of any length is found, and so is the lack of a call."""
    expected, actual_calls = build_staircase(steps)
    found, problem = any_order(expected, actual_calls, ValueFormatter())
    assert (len(found), problem) == (steps, "")
    assert found == {**{number: number + 1 for number in range(steps - 1)}, steps - 1: 0}
    assert any_order([*expected, expected_call(input={"x": 0})], actual_calls, ValueFormatter())[1].startswith(
        f"expected call {steps} "
    )


@pytest.mark.parametrize(
    ("expected", "actual_calls"),
    [
        (build_staircase(MANY)),
        ([expected_call(input={"x": at}) for at in range(MANY)], [made(x=at, y="") for at in reversed(range(MANY))]),
        (
            [expected_call(result={"n": at}) for at in range(MANY)],
            [made(result=f'{{"n": {at}}}') for at in range(MANY)],
        ),
        (
            [expected_call(input={f"k{at}": [{"n": at}]}) for at in range(MANY)],
            [made().model_copy(update={"input": {f"k{at}": [{"n": at}]}}) for at in range(MANY)],
        ),
        ([expected_call(input={"x": {"$approx": at}}) for at in range(MANY)], [made(x=at) for at in range(MANY)]),
    ],
    ids=["staircase", "inputs", "results", "keys", "numbers"],
)
def test_many_expected_calls_have_few_candidates_each(expected: list[ExpectedCall], actual_calls: list[Call]) -> None:
    """The number of comparisons grows linearly with the number of calls."""
    parts = [(call.tool, call.input, [*result_forms(call)]) for call in actual_calls]
    index = CallIndex(expected, parts)
    assert sum(len(list(index.candidates(one))) for one in expected) <= 2 * MANY


@pytest.mark.parametrize("missing", [0, 1])
def test_many_equal_calls_are_matched(missing: int) -> None:
    """Thousands of equal calls are matched, and one missing call is reported."""
    expected = [expected_call(), expected_call(input={"x": 1.0}), expected_call(input={"x": 1})] * (MANY // 3)
    actual_calls = [made(x=1, n=number) for number in range(len(expected) - missing)]
    found, problem = any_order(expected, actual_calls, ValueFormatter())
    assert len({*found.values()}) == (0 if missing else len(expected))
    assert problem[:19] == ("expected call 9998 " if missing else "")
