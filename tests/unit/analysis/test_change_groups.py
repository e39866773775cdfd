"""Group the identical changes of many queries."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.repeats import Rate, Variant
from mcprun.analysis.diff.runs import QueryDiff, RunDiff
from mcprun.analysis.diff.transcripts import Change
from tests.support.changed_orders import CALLS, TRACKED, changed_orders
from tests.support.examples import examples
from tests.support.transcripts import lines, transcripts


def grouped(*diffs: QueryDiff) -> Groups:
    """Return the groups of these queries."""
    groups = Groups()
    for diff in diffs:
        groups.add(diff)
    return groups


def changed(name: str, *changes: Change, **more: Any) -> QueryDiff:
    """Return a query with these changes."""
    return QueryDiff(name, 1, "changed", ("passed", "passed"), changes, **more)


def result(before: Any, after: Any, call: int = 0, tool: str = "t") -> Change:
    """Return a changed result."""
    return Change("result", before, after, call, tool, {"at": call})


def found(groups: Groups) -> list[tuple[str, int, int]]:
    """Return the path of the first value of each group, and its numbers of queries and calls."""
    return [(one.values[0].path, one.occurrences.queries, one.occurrences.calls) for one in groups.groups()]


def test_one_change_of_many_calls_is_one_group() -> None:
    """A field that changed in the same way in 59 calls of ten queries is one group, whatever else is in the results."""
    base, head = changed_orders()
    groups = grouped(*RunDiff().compare(lines(base), lines(head)))
    assert ("state", TRACKED, CALLS) in found(groups)
    assert groups.verdicts[("passed", "failed")].queries == 3
    assert [one.queries for side in (groups.added, groups.removed) for one in side.values()] == [1, 1]


def test_values_that_change_in_the_same_calls_are_one_group() -> None:
    """All fields that changed in the same calls are one group; a field that changed in fewer calls is another."""
    both = [changed(name, result({"a": 1, "b": 1}, {"a": 2, "b": 3})) for name in "pq"]
    less = changed("r", result({"c": 1}, {"c": 2}))
    assert [[value.path for value in group.values] for group in grouped(*both, less).groups()] == [["a", "b"], ["c"]]
    less = changed("r", result({"a": 1}, {"a": 2}))
    assert found(grouped(*both, less)) == [("a", 3, 3), ("b", 2, 2)]


def test_changes_of_other_tools_values_or_kinds_are_other_groups() -> None:
    """The tool, the values, and whether they are errors tell changes apart, as do `1` and `"1"`."""
    changes = [
        result(1, 2), result(1, 2, tool="u"), result(1, 3), result("1", 2), Change("input", 1, 2, 0, "t"),
        Change("result", 1, 2, 0, "t", {}, (True, True)), Change("result", 1, 2, 0, "t", {}, (False, True)),
    ]  # fmt: skip
    assert len(grouped(*(changed(str(at), change) for at, change in enumerate(changes))).groups()) == len(changes)


def test_the_index_in_a_list_does_not_tell_changes_apart() -> None:
    """A change of other items of a list is the same change, with `*` for the index."""
    diffs = [changed("p", result([[1], 5], [[2], 5])), changed("q", result([5, [1]], [5, [2]]))]
    assert found(grouped(*diffs)) == [("[*][*]", 2, 2)]
    assert found(grouped(diffs[0], changed("q", result([[1], 6], [[2], 6])))) == [("[0][0]", 2, 2)]


def test_an_error_in_place_of_different_results_is_one_group() -> None:
    """The same error in place of different results is one change."""
    diffs = [changed(str(at), Change("result", at, "no", 0, "t", {}, (False, True))) for at in range(3)]
    (group,) = grouped(*diffs).groups()
    (value,) = group.values
    assert (group.occurrences.queries, value.is_same_before, value.is_same_after) == (3, False, True)
    diffs = [changed(str(at), Change("result", "no", at, 0, "t", {}, (True, False))) for at in range(3)]
    (group,) = grouped(*diffs).groups()
    assert (group.values[0].is_same_before, group.values[0].is_same_after) == (True, False)


def test_a_place_with_many_values_is_one_group() -> None:
    """A value that is another one in each of many queries is one group; in few queries, each is its own."""
    diffs = [changed(str(at), result({"at": at}, {"at": -at - 1})) for at in range(50)]
    (group,) = grouped(*diffs).groups()
    assert group.place is not None
    assert (group.place.path, group.occurrences.queries, group.occurrences.calls) == ("at", 50, 50)
    assert len(grouped(*diffs[:10]).groups()) == 10


def test_memory_is_bounded_and_everything_is_counted() -> None:
    """However many places, values and characters differ, few are held, and all are counted."""
    many = grouped(*(changed(str(at), result({f"k{at}": 1}, {f"k{at}": 2})) for at in range(3_000)))
    assert (len(many.groups()), many.more.queries) == (1_000, 2_000)
    long = grouped(*(changed(str(at), result(f"{at}" * 1_000_000, "")) for at in range(10, 30)))
    held = sum(len(value.difference.before) for group in long.groups() for value in group.values)
    assert held <= 10_000_000
    (group,) = long.groups()
    assert group.occurrences.queries == 20
    wide = [result([*range(20_000)], [*range(20_000, 40_000)])]
    (group,) = grouped(changed("q", *wide)).groups()
    assert (len(group.values), group.left_out) == (100, 39_800)


def test_a_group_counts_queries_that_became_worse() -> None:
    """A group counts its queries that no longer pass, or pass less often. Each query counts once."""
    change = result(1, 2), result(1, 2, 1)
    rates = Rate(3, 3), Rate(1, 3)
    repeated = QueryDiff("r", None, "changed", rates=rates, p=0.4, variants=(Variant(2, 2, 1, change),))
    failed = QueryDiff("p", 1, "changed", ("passed", "failed"), change)
    better = QueryDiff("q", 1, "changed", ("failed", "passed"), change)
    (group,) = grouped(repeated, failed, better, changed("s", *change)).groups()
    assert (group.occurrences.queries, group.occurrences.calls, group.occurrences.worse) == (4, 8, 2)


@given(st.lists(transcripts, max_size=6, unique_by=lambda one: (one["id"], one["repeat"])), st.data())
@settings(max_examples=examples(100), deadline=None)
def test_each_query_that_differs_is_in_a_group_or_has_another_outcome(base: list[Any], data: st.DataObject) -> None:
    """The groups, and the queries with another outcome, are all that differ. The numbers of a query name its groups."""
    head = [data.draw(transcripts) | {"id": one["id"], "repeat": one["repeat"]} for one in base]
    if not base:
        return
    diffs = list(RunDiff().compare(lines(base), lines(head)))
    groups = Groups()
    numbers = {(diff.id, diff.repeat): set(groups.add(diff)) for diff in diffs}
    named = {(one.id, one.repeat) for group in groups.groups() for one in group.occurrences.first}
    named |= {(one.id, one.repeat) for found in groups.verdicts.values() for one in found.first}
    assert named == {*numbers}
    for group in groups.groups():
        members = {key for key, own in numbers.items() if own & {*group.numbers}}
        assert members == {(one.id, one.repeat) for one in group.occurrences.first}
