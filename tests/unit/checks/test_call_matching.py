"""Expected calls in any order: each gets a call of its own where possible, also among many."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.checks.assignment import assign
from mcprun.checks.call_index import CallIndex
from mcprun.checks.calls import any_order, result_forms, suits
from mcprun.checks.expect import ExpectedCall
from mcprun.evaluation.bounded import evaluated
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter
from tests.support.call_strategies import calls, expectations, made
from tests.support.examples import examples

MANY = 10_000


def expected_call(tool: str = "t", **more: Any) -> ExpectedCall:
    """Expect a call."""
    return ExpectedCall.model_validate({"tool": tool, **more})


def staircase(steps: int) -> tuple[list[ExpectedCall], list[Call]]:
    """Expect calls each of which fits two, but for the last one: to place it, all others have to move."""
    expected = [expected_call(input={"x": {"$oneof": [step, step + 1]}}) for step in range(steps - 1)]
    return [*expected, expected_call(input={"x": 0})], [made(x=step) for step in range(steps)]


sizes = st.integers(0, 4)


async def test_many_comparisons_do_not_block_the_event_loop() -> None:
    """They go on in a thread where each expected call may be each call that was made."""
    expected = [
        expected_call(input={"x": {"$type": "integer"}, "y": {"$optional": True, "$equals": at}}) for at in range(120)
    ]
    calls, threads = [made(x=at) for at in range(120)], []

    def matched() -> int:
        threads.append(threading.current_thread().name)
        return len(any_order(expected, calls, ValueFormatter())[0])

    assert (await evaluated(matched), len(threads)) == (120, 2)


def test_an_assignment_ends() -> None:
    """Demands at different distances from an unmet one share a supply: none takes its users from another one."""
    assert assign([1, 4, 1], [0, 2, 4, 0], [[0, 1, 3], [0, 1, 2, 3], [0, 1, 3]]) == [{1: 1}, {2: 4}, {1: 1}]


@given(st.lists(st.tuples(sizes, st.sets(st.integers(0, 3))), max_size=4), st.lists(sizes, min_size=4, max_size=4))
@settings(max_examples=examples(1000))
def test_as_much_as_possible_is_assigned(demands: list[tuple[int, set[int]]], supplies: list[int]) -> None:
    """No more can be met than what a cut allows, and that much is met (max-flow min-cut)."""
    edges = [sorted(fitting) for _, fitting in demands]
    flow = assign([units for units, _ in demands], supplies, edges)
    for (units, fitting), taken in zip(demands, flow, strict=True):
        assert taken.keys() <= fitting
        assert sum(taken.values()) <= units
        assert all(taken.values())
    used = [sum(taken.get(supply, 0) for taken in flow) for supply in range(4)]
    assert all(one <= limit for one, limit in zip(used, supplies, strict=True))
    cuts = [{at for at in range(len(demands)) if chosen >> at & 1} for chosen in range(2 ** len(demands))]
    assert sum(used) == min(
        sum(demands[at][0] for at in range(len(demands)) if at not in cut)
        + sum(supplies[supply] for supply in set().union(*(demands[at][1] for at in cut)))
        for cut in cuts
    )


@given(expectations, calls)
def test_no_call_that_fits_is_left_out_of_the_candidates(lines: list[dict[str, Any]], made_calls: list[Call]) -> None:
    """The index narrows the search; it does not decide."""
    expected = [expected_call(**line) for line in lines]
    forms = [[*result_forms(call)] for call in made_calls]
    index = CallIndex(expected, [(call.tool, call.input, form) for call, form in zip(made_calls, forms, strict=True)])
    for one in expected:
        assert {at for at, call in enumerate(made_calls) if suits(one, call)} <= {*index.candidates(one)}


@pytest.mark.parametrize("steps", [1, 2, 250, 1200, MANY])
def test_a_staircase_is_climbed(steps: int) -> None:
    """However long the chain of calls that have to move on; one call too few is found out as well."""
    expected, made_calls = staircase(steps)
    found, problem = any_order(expected, made_calls, ValueFormatter())
    assert (len(found), problem) == (steps, "")
    assert found == {**{number: number + 1 for number in range(steps - 1)}, steps - 1: 0}
    assert any_order([*expected, expected_call(input={"x": 0})], made_calls, ValueFormatter())[1].startswith(
        f"call {steps}: "
    )


@pytest.mark.parametrize(
    ("expected", "made_calls"),
    [
        (staircase(MANY)),
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
def test_each_of_many_expected_calls_is_compared_with_few(expected: list[ExpectedCall], made_calls: list[Call]) -> None:
    """The work grows with the number of calls, and not with its square."""
    parts = [(call.tool, call.input, [*result_forms(call)]) for call in made_calls]
    index = CallIndex(expected, parts)
    assert sum(len(list(index.candidates(one))) for one in expected) <= 2 * MANY


@pytest.mark.parametrize("missing", [0, 1])
def test_calls_that_are_alike_are_matched_together(missing: int) -> None:
    """Any of them will do for each."""
    expected = [expected_call(), expected_call(input={"x": 1.0}), expected_call(input={"x": 1})] * (MANY // 3)
    made_calls = [made(x=1, n=number) for number in range(len(expected) - missing)]
    found, problem = any_order(expected, made_calls, ValueFormatter())
    assert len({*found.values()}) == (0 if missing else len(expected))
    assert problem[:11] == ("call 9998: " if missing else "")
