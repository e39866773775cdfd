"""Choose the rules of a suite, so that none masks all that is stable in another query."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun.analysis.diff.forms import SCRUBS
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.volatile.detect import find_volatile
from mcprun.analysis.volatile.likelihood import Interval
from mcprun.analysis.volatile.masking import measure
from mcprun.analysis.volatile.places import Place, likely_places
from mcprun.analysis.volatile.rules import rules_of, scrubber_of
from mcprun.analysis.volatile.suite_rules import is_covered, suite_rules
from tests.support.examples import examples
from tests.support.transcripts import call, changes, transcript
from tests.support.volatile_values import NOW, constants, scrubbed_values, tries, words

UUIDS = "123e4567-e89b-42d3-a456-426614174000", "9f1b7e02-0c01-4000-8000-0123456789ab"
LATER = NOW + timedelta(days=4_000)

Lines = list[dict[str, Any]]


def of(name: str, *results: Any) -> Lines:
    """Return the tries of a query with these results as JSON."""
    return [transcript(id=name, calls=[call("a", json.dumps(result))]) for result in results]


def chosen(*queries: Lines) -> tuple[list[str], list[str]]:
    """Return the flags of the rules that are chosen for a suite, and the ids of the queries they do not cover."""
    rules, places = rules_for(queries)
    return [rule.flag for rule in rules], [
        name for name, found in places.items() if not all(is_covered(place, rules) for place in found)
    ]


def rules_for(queries: Any) -> tuple[list[Rule], dict[str, list[Place]]]:
    """Return the rules that are chosen for a suite of queries, and the places of each query."""
    places = {tried[0]["id"]: find_volatile(tried, CompareOptions(), LATER) for tried in queries}
    maskable = {name: found for name, found in places.items() if all(place.rule for place in found)}
    return suite_rules(maskable, [tried[0] for tried in queries]), places


def test_a_rule_that_would_mask_all_of_another_query_is_not_chosen() -> None:
    """The query with the volatile value is not covered then; the rules of others are chosen."""
    stable = of("stable", {"data": ["x"]}, {"data": ["x"]})
    unstable = of("unstable", {"data": ["a", "b"], "n": 1}, {"data": ["a"], "n": 1})
    other = of("other", {"ms": 1, "k": 1}, {"ms": 2, "k": 1})
    assert chosen(unstable, other) == (
        ["--ignore 'calls[tool=a].result.data'", "--ignore 'calls[tool=a].result.ms'"],
        [],
    )
    assert chosen(stable, unstable, other) == (["--ignore 'calls[tool=a].result.ms'"], ["unstable"])


def test_rules_that_mask_all_of_a_query_together_are_not_chosen_together() -> None:
    """Each leaves something of it, so that the first is chosen."""
    stable = of("stable", {"a": "x", "b": "y"}, {"a": "x", "b": "y"})
    one = of("one", {"a": [1], "k": 1}, {"a": [], "k": 1})
    two = of("two", {"b": [1], "k": 1}, {"b": [], "k": 1})
    assert chosen(stable, one, two) == (["--ignore 'calls[tool=a].result.a'"], ["two"])


def test_a_path_is_ignored_where_a_scrub_would_mask_all_of_another_query() -> None:
    """The path is narrower: it leaves the constant time in the other query."""
    stable = of("stable", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z")
    volatile = of("volatile", *({"at": f"2026-11-30T10:24:0{second}Z", "n": 1} for second in (1, 2)))
    assert chosen(volatile) == (["--scrub timestamp"], [])
    assert chosen(stable, volatile) == (["--ignore 'calls[tool=a].result.at'"], [])


def test_a_query_that_is_wholly_volatile_does_not_reject_its_own_rule() -> None:
    """It has nothing left to compare anyway."""
    assert chosen(of("id", UUIDS[0], UUIDS[1]), of("n", {"n": 1}, {"n": 1})) == (["--scrub uuid"], [])


BLOCKS = [{"type": "text", "text": "one two"}, {"type": "resource", "resource": {"uri": "a:b", "text": "x"}}]


@pytest.mark.parametrize(
    ("content", "structured"),
    [
        ([{"type": "text", "text": "heads or tails, and so on"}], {"n": 1}),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "text", "text": "c"}], {"n": 1}),
        ([{"type": "text", "text": "tails"}, BLOCKS[1]], None),
        ([BLOCKS[0], {"type": "resource", "resource": {"uri": "a:b", "text": "y"}}], {"n": 1}),
        ([*BLOCKS, {"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}], None),
        (BLOCKS, {"n": 2}),
    ],
)
def test_no_rule_ignores_the_content_of_all_tools(content: Any, structured: Any) -> None:
    """`calls[*].result.content`, `calls[*].result[*].text` and their like are in the results of any tool."""
    one, other = (
        transcript(calls=[{**call("a"), "content": blocks, "structured": made}])
        for blocks, made in ((BLOCKS, {"n": 1}), (content, structured))
    )
    places = find_volatile([one, other], CompareOptions(), LATER)
    places += likely_places(changes(one, other), Interval(NOW, LATER))
    hidden = ("content", "structured", ".text", ".data", ".resource", "]")
    assert [place.path for place in places if place.rule and place.rule.value.endswith(hidden)] == []


def test_a_random_content_is_not_hinted_at() -> None:
    """A hint to ignore it would mask the content of all tools."""
    one, other = (transcript(calls=[call("a", text, {"n": 1})]) for text in ("ab12cd34ef56", "9f8e7d6c5b4a"))
    assert likely_places(changes(one, other), Interval(NOW, LATER)) == []


values = words | st.integers(0, 9) | scrubbed_values["uuid"]
results = st.one_of(
    tries(),
    st.dictionaries(st.sampled_from(["id", "n", "note", "items", "kept"]), values, max_size=3).map(
        lambda one: (one, one)
    ),
    st.tuples(constants, constants).map(lambda both: tuple({"n": one} for one in both)),
    st.lists(values, max_size=3).map(lambda one: ({"items": one}, {"items": one[1:]})),
    values.map(lambda one: (one, one)),
)


@given(st.lists(results, min_size=1, max_size=5))
@settings(max_examples=examples(200))
def test_no_set_of_rules_masks_all_that_is_stable_in_a_query(pairs: list[tuple[Any, Any]]) -> None:
    """Whatever other queries need: what a query's own rules leave is not masked as a whole."""
    queries = [of(str(number), *pair) for number, pair in enumerate(pairs)]
    rules, places = rules_for(queries)
    rules = [rule for rule in rules if rule.option != "scrub" or rule.value in SCRUBS]  # others need a process
    for first, _ in queries:
        found = places[first["id"]]
        own = [rule for place in found for rule in (place.rule, place.otherwise) if rule]
        own = [rule for rule in own if rule.option != "scrub" or rule.value in SCRUBS]
        if not measure(first, scrubber_of(own)).is_empty:
            assert not measure(first, scrubber_of(rules)).is_empty
    assert rules_of(scrubber_of(rules)) == rules
