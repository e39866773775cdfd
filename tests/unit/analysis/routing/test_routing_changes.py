"""The grades of two routed runs are paired by id and repeat, and their difference is tested."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.statistics import mcnemar_exact
from mcprun.analysis.routing.changes import (
    ChangedRoute,
    Graded,
    RecallChange,
    RoutingDiff,
    compare_routing,
    merged_routing,
)
from mcprun.analysis.routing.matrix import Rate, RoutedTurn
from mcprun.report.routing_diff import routing_block, routing_lines

Side = dict[tuple[str, int], Graded]


def graded(expected: str, *called: str, right: bool = True) -> Graded:
    """Return a first turn that calls these tools. It is right if one of them is the expected one, with `right` input."""
    tools = frozenset(called)
    passed = (expected in tools if expected else not tools) and right
    return Graded(RoutedTurn(frozenset([expected] if expected else []), tools, passed, right), called)


sides = st.dictionaries(
    st.tuples(st.sampled_from("abcdef"), st.integers(1, 2)),
    st.builds(graded, st.sampled_from(["x", "y", ""]), st.sampled_from(["x", "y"]), right=st.booleans()),
)


@given(sides, sides)
def test_pairs_are_counted_once(base: Side, head: Side) -> None:
    """Accuracies are of the queries that both graded, and differ by what was gained and lost."""
    diff = compare_routing(base, head.items())
    shared = base.keys() & head.keys()
    if diff is None:
        assert not shared
        return
    assert diff.before == Rate(sum(base[key].turn.passed for key in shared), len(shared))
    assert diff.after.done == diff.before.done + diff.gained - diff.lost
    assert len(diff.changed) == diff.gained + diff.lost
    assert diff.unpaired == len(base.keys() ^ head.keys())
    assert diff.p == round(mcnemar_exact(diff.gained, diff.lost), 6)


@given(sides, sides, st.integers(0, 99))
def test_shards_add_up_to_the_whole_run(base: Side, head: Side, seed: int) -> None:
    """However the queries are spread over shards, their merged differences are those of one run."""
    pick = random.Random(seed)
    place = {key[0]: pick.randrange(3) for key in sorted({*base, *head})}
    shards = [
        compare_routing(
            {key: one for key, one in base.items() if place[key[0]] == shard},
            ((key, one) for key, one in head.items() if place[key[0]] == shard),
        )
        for shard in range(3)
    ]
    merged, whole = merged_routing([one for one in shards if one]), compare_routing(base, head.items())
    assert (merged is None) == (whole is None)
    if merged and whole:
        names = "before", "after", "gained", "lost", "p", "significant", "tools"
        assert [getattr(merged, name) for name in names] == [getattr(whole, name) for name in names]
        assert {*merged.changed} == {*whole.changed}


def text_of(diff: RoutingDiff | None) -> list[str]:
    return ["".join(part for part, _ in line) for line in routing_lines(diff)]


def test_lines_name_what_changed() -> None:
    """The test comes first, then queries that became wrong, and tools whose recall changed."""
    base = {(f"q{n}", 1): graded("x", "x") for n in range(12)} | {("z", 2): graded("y", "x"), ("o", 1): graded("", "")}
    head = {**base, **{(f"q{n}", 1): graded("x", "y", "y") for n in range(11)}, ("z", 2): graded("y", "y")}
    head["q11", 1] = graded("x", "x", right=False)
    del head["o", 1]
    diff = compare_routing(base, head.items())
    assert diff is not None
    assert diff.changed[-1] == ChangedRoute("z", 2, True, ("x",), ("y",))
    assert diff.tools == (RecallChange("x", Rate(12, 12), Rate(1, 12)), RecallChange("y", Rate(0, 1), Rate(1, 1)))
    shown = text_of(diff)
    assert shown[:3] == [
        "~ routing  12 of 13 (92 %) → 1 of 13 (8 %) right",
        "    1 became right, 12 wrong: significant (p = 0.0034, McNemar's test); 1 query graded in one run only",
        "    ✗ now wrong: q0 (x → y, y)",
    ]
    assert shown[12:] == [
        "    ✗ now wrong: 2 more queries",
        "    ~ now right: z (2) (x → y)",
        "    ~ recall of x: 12/12 (100 %) → 1/12 (8 %)",
        "    ~ recall of y: 0/1 (0 %) → 1/1 (100 %)",
    ]
    first = "".join(part for part, _ in routing_block(diff)[0])
    assert first == f"{shown[0]}: {shown[1].strip()}"


def test_a_few_changes_are_within_chance() -> None:
    """The difference of one query is no evidence, and equal runs have no changes."""
    base, head = {("a", 1): graded("x", "x")}, {("a", 1): graded("x", "x", right=False)}
    assert text_of(compare_routing(base, head.items())) == [
        "~ routing  1 of 1 (100 %) → 0 of 1 (0 %) right",
        "    0 became right, 1 wrong: within chance (p = 1, McNemar's test)",
        "    ✗ now wrong: a (x, with other input)",
    ]
    assert text_of(compare_routing(base, base.items())) == [
        "= routing  1 of 1 (100 %) right",
        "    no query became right or wrong",
    ]
    assert (text_of(None), routing_block(None)) == ([], [])
