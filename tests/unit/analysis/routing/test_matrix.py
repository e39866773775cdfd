"""Graded first turns, added up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.statistics import mcnemar_exact
from mcprun.analysis.routing.matrix import Rate, RoutedTurn, RoutingMatrix, label, matrix_of, mcnemar_table

NAMES = st.frozensets(st.sampled_from(["a", "b", "none", "several"]), max_size=3)
TURNS = st.lists(
    st.builds(RoutedTurn, expected=NAMES, called=NAMES, passed=st.booleans(), has_right_input=st.booleans())
)


def turn(expected: str, called: str, *, right: bool = True) -> RoutedTurn:
    """Return a turn; each letter is a tool. `right` is whether the input is."""
    one, other = frozenset(expected), frozenset(called)
    return RoutedTurn(one, other, passed=one == other and right, has_right_input=right and one <= other)


PLANTED = [
    *[turn("a", "a")] * 5,
    *[turn("a", "b")] * 2,
    turn("a", "a", right=False),
    *[turn("b", "b")] * 3,
    turn("b", ""),
    turn("b", "ab"),
    *[turn("", "")] * 2,
    turn("", "b"),
    turn("ab", "b"),
]


def test_the_matrix_of_planted_turns() -> None:
    """Cells, accuracy, precision, recall and inputs are those that were planted."""
    matrix = matrix_of(PLANTED)
    cells = {(row[0], column[0]): count for (row, column), count in matrix.cells.items()}
    assert cells == {
        ("a", "a"): 6,
        ("a", "b"): 2,
        ("b", "b"): 3,
        ("b", "none"): 1,
        ("b", "several"): 1,
        ("none", "none"): 2,
        ("none", "b"): 1,
        ("several", "b"): 1,
    }
    assert matrix.accuracy == Rate(10, 17)
    assert matrix.inputs == Rate(9, 10)
    tools = {one.tool: (one.precision, one.recall, one.inputs) for one in matrix.tools}
    assert tools == {
        "a": (Rate(6, 7), Rate(6, 8), Rate(5, 6)),
        "b": (Rate(5, 8), Rate(4, 5), Rate(4, 4)),
    }
    assert [name for name, _ in matrix.rows] == ["a", "b", "several", "none"]
    assert matrix.confusions[0] == (("a", True), ("b", True), 2)


@given(TURNS)
def test_the_cells_add_up(turns: list[RoutedTurn]) -> None:
    """Each turn is in one cell, rates are within bounds, and a tool called `none` is not the label for no tool."""
    matrix = matrix_of(turns)
    assert sum(matrix.cells.values()) == matrix.graded == matrix.accuracy.total == len(turns)
    assert {row for row, _ in matrix.cells} == set(matrix.rows) == {label(one.expected) for one in turns}
    assert matrix.accuracy.done == sum(one.passed for one in turns)
    for tool in matrix.tools:
        assert all(0 <= rate.done <= rate.total for rate in (tool.precision, tool.recall, tool.inputs))
    assert label(frozenset({"none"})) != label(frozenset())


@given(TURNS, TURNS)
def test_the_order_does_not_matter(one: list[RoutedTurn], other: list[RoutedTurn]) -> None:
    """Turns may be added in any order."""
    matrix = RoutingMatrix()
    for each in (*other, *one):
        matrix.add(each)
    assert matrix == matrix_of([*one, *other])


@pytest.mark.parametrize(
    ("gained", "lost", "p"), [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (8, 2, 0.109375), (5, 5, 1.0)]
)
def test_mcnemar_tests_paired_differences(gained: int, lost: int, p: float) -> None:
    """Only pairs that differ count, by a sign test."""
    assert mcnemar_exact(gained, lost) == mcnemar_exact(lost, gained) == pytest.approx(p)


def test_only_queries_of_both_runs_are_paired() -> None:
    """A query counts if it was graded in both runs and with another grade."""
    before = {("a", 1): True, ("b", 1): False, ("c", 1): False, ("d", 1): True}
    after = {("a", 1): False, ("b", 1): True, ("c", 1): False, ("e", 1): True}
    assert mcnemar_table(before, after) == (1, 1)
