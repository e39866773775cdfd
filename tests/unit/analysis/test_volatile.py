"""Find volatile places between tries, in comparisons and in single results, and the rules that cover them."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcprun._util.json_value import json_equal
from mcprun.analysis.diff.forms import SCRUBS
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.volatile.detect import find_volatile
from mcprun.analysis.volatile.likelihood import Interval
from mcprun.analysis.volatile.masking import measure
from mcprun.analysis.volatile.places import Place, likely_places, places_of_tries
from mcprun.analysis.volatile.rules import rules_of, scrubber_of, sorted_rules, toml_lines
from tests.support.examples import examples
from tests.support.transcripts import call, changes, transcript
from tests.support.volatile_values import NOW, constants, scrubbed_values, scrubs, tries, words

LATER = NOW + timedelta(days=30)
INTERVAL = Interval(NOW, LATER)
UUIDS = "123e4567-e89b-42d3-a456-426614174000", "9f1b7e02-0c01-4000-8000-0123456789ab"


def of(result: Any) -> dict[str, Any]:
    """Return a transcript with one call, with this result as JSON text (or as text)."""
    return transcript(calls=[call("a", result if isinstance(result, str) else json.dumps(result))])


def found(one: Any, other: Any, **options: Any) -> list[Place]:
    """Return the volatile places of two tries."""
    return find_volatile([of(one), of(other)], CompareOptions(**options), LATER + timedelta(days=4_000))


def hints(one: Any, other: Any) -> list[str]:
    """Return the flags for the places of a comparison that look volatile."""
    places = likely_places(changes(of(one), of(other)), INTERVAL)
    return [rule.flag for rule in sorted_rules(place.rule for place in places if place.rule)]


def test_each_volatile_place_has_its_smallest_path_and_rule() -> None:
    """A place is named by its path, with `[*]` for each index. A scrub is preferred to ignoring the place."""
    one = {"id": UUIDS[0], "at": "2026-11-30T10:24:45Z", "n": 1, "kept": 1, "rows": [{"ms": 1.5, "name": "x"}]}
    other = {"id": UUIDS[1], "at": "2026-11-30T10:24:46Z", "n": 2, "kept": 1, "rows": [{"ms": 2.5, "name": "x"}]}
    assert [(place.path, place.kind, place.rule and place.rule.flag) for place in found(one, other)] == [
        ("calls[*].result.id", "uuid", "--scrub uuid"),
        ("calls[*].result.at", "timestamp", "--scrub timestamp"),
        ("calls[*].result.n", "number", "--ignore 'calls[tool=a].result.n'"),
        ("calls[*].result.rows[*].ms", "number", "--ignore 'calls[tool=a].result.rows[*].ms'"),
    ]
    assert {place.tool for place in found(one, other)} == {"a"}


def test_only_the_start_of_a_long_list_is_searched() -> None:
    """The items are alike: a place that none of the first ones has is not found, and a shuffled list still is."""
    one, other = ([{"at": f"2026-11-30T12:00:0{second}Z", "n": n} for n in range(5_000)] for second in (1, 2))
    other[-1]["n"] = -1
    assert [(place.path, place.kind) for place in found(one, other)] == [("calls[*].result[*].at", "timestamp")]
    named = [{"name": f"name {n}", "words": "word " * 20} for n in range(5_000)]
    counted = [item | {"hits": n} for n, item in enumerate(named[::-1])]
    places = found([item | {"hits": -1} for item in named], counted)
    assert [(place.path, place.kind) for place in places] == [
        ("calls[*].result", "order"), ("calls[*].result[*].hits", "number")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "kinds", "flags"),
    [
        ("ab12cd34ef56", "9f8e7d6c5b4a", ["text"], []),
        ({"key": "ab12cd34ef56"}, {"key": "9f8e7d6c5b4a"}, ["random id"], ["--ignore 'calls[tool=a].result.key'"]),
        (["b", "a", "c"], ["c", "b", "a"], ["order"], ["--ignore-order 'calls[tool=a].result'"]),
        ("b\na", "a\nb", ["order"], ["--ignore-order 'calls[tool=a].result'"]),
        ({"v": ["b", "a"]}, {"v": ["a", "b"]}, ["order"], ["--ignore-order 'calls[tool=a].result.v'"]),
        ({"v": [1, 2]}, {"v": [1]}, ["length"], ["--ignore 'calls[tool=a].result.v'"]),
        ({"v": None}, {"v": 5}, ["value"], ["--ignore 'calls[tool=a].result.v'"]),
        ({"v": 1, "k": 1}, {"v": 1}, ["keys"], ["--ignore 'calls[tool=a].result.k'"]),
        ({UUIDS[0]: 1}, {UUIDS[1]: 1}, ["uuid"], ["--scrub uuid"]),
        ({"at": 1_732_960_000}, {"at": 1_732_960_001}, ["epoch"], ["--scrub epoch"]),
        ("heads", "tails", ["text"], []),
        ({"side": "heads"}, {"side": "tails"}, ["text"], ["--ignore 'calls[tool=a].result.side'"]),
        ("rolled 5 of 6", "rolled 3 of 6", ["text"], ["--scrub '(?<=rolled )[0-9]+(?:[.][0-9]+)?'"]),
        ("[1, 2]", "[1]", ["length"], []),
        (
            {"v": {f"k{n}": n for n in range(30)}},
            {"v": {f"k{n}": -n for n in range(30)}},
            ["value"],
            ["--ignore 'calls[tool=a].result.v'"],
        ),
    ],
)
def test_each_kind_of_difference_has_its_rule(one: Any, other: Any, kinds: list[str], flags: list[str]) -> None:
    """Each kind of difference between two tries has a rule, unless that would ignore the whole result."""
    places = found(one, other)
    assert [place.kind for place in places] == kinds
    assert [place.rule.flag for place in places if place.rule] == flags


def test_differences_that_no_rule_covers_have_none() -> None:
    """Verdicts, stop reasons, calls and errors that differ between tries have a place without a rule."""
    one = transcript(calls=[call("a", "1"), call("b", "1")])
    other = transcript(verdict="failed", stop="max_turns", calls=[call("a", "no", is_error=True)])
    places = find_volatile([one, other], CompareOptions(), NOW)
    assert [(place.path, place.kind) for place in places] == [
        ("verdict", "verdict"), ("stop", "stop"), ("calls[*].is_error", "error"), ("calls", "calls"),
    ]  # fmt: skip
    assert {place.rule for place in places} == {None}


def test_rules_in_force_cover_their_places() -> None:
    """Only what the rules in force do not cover is found."""
    one, other = {"id": UUIDS[0], "n": 1}, {"id": UUIDS[1], "n": 2}
    assert [place.kind for place in found(one, other, scrubber=Scrubber.of(["uuid"]))] == ["number"]
    assert found(one, other, scrubber=Scrubber.of(["uuid"], ["calls[*].result.n"])) == []


def test_items_in_random_order_are_paired_by_the_field_that_identifies_them() -> None:
    """Of a list in random order, only the order and what differs within an item are volatile, not its name."""
    one = {"rows": [{"name": "a", "n": 1}, {"name": "b", "n": 5}]}
    other = {"rows": [{"name": "b", "n": 4}, {"name": "a", "n": 3}]}
    assert [(place.path, place.kind) for place in found(one, other)] == [
        ("calls[*].result.rows", "order"),
        ("calls[*].result.rows[*].n", "number"),
    ]


@given(tries(), st.booleans())
@settings(max_examples=examples(200))
def test_the_rules_make_tries_equal(both: tuple[dict[str, Any], dict[str, Any]], is_structured: bool) -> None:
    """With the rules for all places of two tries, these are equal, and each place is needed."""
    if is_structured:
        one, other = (transcript(calls=[call("a", json.dumps(side), side)]) for side in both)
    else:
        one, other = map(of, both)
    places = find_volatile([one, other], CompareOptions(), LATER + timedelta(days=4_000))
    assert all(place.rule for place in places)
    scrubber = _scrubber(places)
    assert changes(one, other, scrubber=scrubber) == []
    assert find_volatile([one, other], CompareOptions(scrubber=scrubber), LATER + timedelta(days=4_000)) == []
    assert bool(changes(one, other)) <= bool(places)


def _scrubber(places: list[Place]) -> Scrubber:
    """Return the scrubber of the rules, with made patterns compiled: those of users are matched in a process."""
    rules = sorted_rules(place.rule for place in places if place.rule)
    made = [rule for rule in rules if rule.option == "scrub" and rule.value not in SCRUBS]
    scrubber = scrubber_of(rule for rule in rules if rule not in made)
    patterns = *scrubber.patterns, *((re.compile(rule.value), "<scrubbed>") for rule in made)
    return Scrubber(patterns, scrubber.paths, scrubber.unordered)


@given(scrubs, words, words, st.data())
def test_a_difference_beside_a_volatile_value_is_never_scrubbed(
    name: str, one: str, other: str, data: st.DataObject
) -> None:
    """A text that differs in a volatile value and in something else has no scrub, between tries or versions."""
    assume(one != other)
    texts = [f"{side} {data.draw(scrubbed_values[name])}" for side in (one, other)]
    places = places_of_tries(changes(of({"text": texts[0]}), of({"text": texts[1]})))
    assert [place.rule for place in places] == [Rule("ignore", "calls[tool=a].result.text")]
    assert hints({"text": texts[0]}, {"text": texts[1]}) == []
    assert hints(texts[0], texts[1]) == []


def test_no_rule_ignores_a_key_that_a_path_reads_as_any_keys() -> None:
    """The path of a key `**` would match all keys, and so mask what is beside it."""
    places = found({"a": {"**": 1, "kept": 1}}, {"a": {"**": 2, "kept": 1}})
    assert [place.rule for place in places] == [None]


@given(constants, constants)
def test_a_real_change_is_never_hinted_at(one: Any, other: Any) -> None:
    """Values without a volatile form are never hinted at."""
    assert hints({"v": one, "list": [one, 1]}, {"v": other, "list": [other, 1]}) == []
    assert hints(f"the value is {one}", f"the value is {other}") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"price": 2.5}, {"price": 0.0}),
        ({"due": "2026-12-24"}, {"due": "2026-12-25"}),
        ({"due": "2026-12-24T09:00:00Z"}, {"due": "2026-12-24T10:00:00Z"}),
        ({"now": NOW.isoformat()}, {"now": (LATER + timedelta(hours=1)).isoformat()}),
        ({"timeout": "30 s"}, {"timeout": "60 s"}),
        ("listening on port 8080", "listening on port 9090"),
        ("http://localhost:8080", "http://localhost:9090"),
        ("http://example.com:8080", "http://example.com:18080"),
        ({"rows": [1, 2]}, {"rows": [1]}),
        ({"rows": [1, 2, 3, 4]}, {"rows": [2, 1, 4, 3]}),
        ([{"n": 4}, {"n": 2}, {"n": 1}, {"n": 3}], [{"n": 4}, {"n": 3}, {"n": 2}, {"n": 1}]),
        ("a\nb\nc\nd", "d\na\nc\nb"),
        ({"version": "v1.2.3"}, {"version": "v2.0.0"}),
        ({"sku": "ABC-2026-000123"}, {"sku": "ABC-2026-000124"}),
        ({"a": 1}, {"b": 1}),
        ({"total": 1_732_960_000}, {"total": 1_500_000_000}),
        ("one\ntwo", "two"),
        ("total:45000", "total:52000"),
        ("error:40001", "error:50002"),
        ("at 10:40001", "at 10:50002"),
        ({"port": 8080}, {"port": 18080}),
        ({"opens": "09:00:00"}, {"opens": "10:15:00"}),
        ({"opens": "09:00:00"}, {"opens": "09:30:00"}),
        ({"latency_budget_ms": 100}, {"latency_budget_ms": 50}),
        ({"maxUptime": 5}, {"maxUptime": 6}),
        (UUIDS[0], "00000000-0000-0000-0000-000000000000"),
        ({"sha": "3f" * 20}, {"sha": "0" * 40}),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "0" * 40),
    ],
)
def test_what_may_be_a_regression_has_no_hint(one: Any, other: Any) -> None:
    """A change that a regression may cause is not hinted at, even if it is one of a time, a port or a number."""
    assert changes(of(one), of(other))
    assert hints(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "flags"),
    [
        (UUIDS[0], UUIDS[1], ["--scrub uuid"]),
        (f"made {NOW:%Y-%m-%d}", f"made {LATER:%Y-%m-%d}", ["--scrub timestamp"]),
        ({"now": NOW.isoformat()}, {"now": (LATER + timedelta(seconds=9)).isoformat()}, ["--scrub timestamp"]),
        ({"expires": "2027-11-30T10:24:45Z"}, {"expires": "2027-12-30T10:24:47Z"}, ["--scrub timestamp"]),
        ({"at": NOW.timestamp()}, {"at": LATER.timestamp() + 3}, ["--scrub epoch"]),
        ("/tmp/tmpab12/x", "/tmp/tmpcd34/x", ["--scrub tmp"]),
        ("http://127.0.0.1:40123/", "http://127.0.0.1:51234/", ["--scrub port"]),
        ("http://build:40123/", "http://build:51234/", ["--scrub port"]),
        ("on db.example.com:40123", "on db.example.com:51234", ["--scrub port"]),
        ("listening on port 40123", "listening on port 51234", ["--scrub port"]),
        ({"port": 40123}, {"port": 51234}, ["--ignore 'calls[tool=a].result.port'"]),
        ({"time": f"{NOW:%H:%M:%S}"}, {"time": f"{LATER + timedelta(seconds=9):%H:%M:%S}"}, ["--scrub time"]),
        ("done in 12 ms", "done in 15 ms", ["--scrub duration"]),
        ({"elapsed_ms": 12.5}, {"elapsed_ms": 11}, ["--ignore 'calls[tool=a].result.elapsed_ms'"]),
        ({"pid": 12}, {"pid": 99}, ["--ignore 'calls[tool=a].result.pid'"]),
        ({"etag": "sess_4f3a9c1d"}, {"etag": "sess_b82e01f7"}, ["--ignore 'calls[tool=a].result.etag'"]),
        (["b", "a"], ["a", "b"], ["--ignore-order 'calls[tool=a].result'"]),
        (
            [{"id": UUIDS[0], "n": 1}, {"id": UUIDS[1], "n": 2}],
            [{"id": UUIDS[0], "n": 2}, {"id": UUIDS[1], "n": 1}],
            ["--scrub uuid", "--ignore-order 'calls[tool=a].result'"],
        ),
        ({"a": UUIDS[0], "price": 1}, {"a": UUIDS[1], "price": 2}, ["--scrub uuid"]),
    ],
)
def test_what_looks_volatile_is_hinted_at(one: Any, other: Any, flags: list[str]) -> None:
    """A difference between versions that looks volatile has a hint, also beside one that does not."""
    assert hints(one, other) == flags


@pytest.mark.parametrize(
    ("one", "other", "is_hinted"),
    [
        ("2024-01-01T09:00:00", "2024-01-01T10:00:00", False),
        ("2024-01-01T09:00", "2025-01-01T09:00", False),
        ("09:00:00", "10:00:00", False),
        ("2024-01-01T09:00:07Z", "2024-01-01T10:00:00.5Z", True),
        ("09:12:13", "10:00:00", True),
    ],
)
def test_of_runs_of_unknown_times_only_a_time_with_seconds_looks_volatile(
    one: str, other: str, is_hinted: bool
) -> None:
    """Files of transcripts do not say when they were made. Times that a person chose rarely have seconds."""
    assert bool(likely_places(changes(of(one), of(other)), Interval())) is is_hinted


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (f"It is {NOW.isoformat()}.", ["--scrub timestamp"]),
        (f"Today is {NOW:%Y-%m-%d}", ["--scrub timestamp"]),
        ({"at": NOW.timestamp()}, ["--scrub epoch"]),
        ({"file": "/tmp/tmpab12/x"}, ["--scrub tmp"]),
        ({"url": "http://localhost:45123/x"}, ["--scrub port"]),
        ({"id": UUIDS[0], "md5": "1a79a4d60de6718e8e5b326e338ae533"}, []),
        ({"pid": 4242}, ["--ignore 'calls[tool=a].result.pid'"]),
        ("The Magna Carta was sealed on 1215-06-15.", []),
        ({"released": "1999-12-31T10:00:00Z", "birthday": "1984-01-24"}, []),
        ({"id": "00000000-0000-0000-0000-000000000001"}, []),
        ({"url": "http://localhost:8080/x", "api": "https://example.com:45123"}, []),
        ({"total": 12, "name": "x", "ratio": 0.5, "duration": 240}, []),
        ("sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709", []),
    ],
)
def test_a_value_that_looks_volatile_counts_though_the_tries_agree(value: Any, flags: list[str]) -> None:
    """Times near now, temporary paths and random ports count if the tries agree; ids and constants in a document do not."""
    places = find_volatile([of(value), of(value)], CompareOptions(), NOW)
    assert [place.rule.flag for place in places if place.rule] == flags


@given(st.lists(st.tuples(st.sampled_from(["scrub", "ignore", "ignore_order"]), st.text(min_size=1)), max_size=5))
def test_the_lines_of_a_configuration_hold_the_rules(values: list[tuple[Any, str]]) -> None:
    """The lines are TOML with the values of each option, whatever their characters."""
    rules = [Rule(option, value) for option, value in values]
    read = tomllib.loads("\n".join(toml_lines(rules)))
    for option in ("scrub", "ignore", "ignore_order"):
        expected = [rule.value for rule in rules if rule.option == option]
        assert read.get(option.replace("_", "-"), []) == expected


def test_a_scrubber_is_made_of_its_rules() -> None:
    """The rules of a scrubber make an equal one. A path within an ignored one is left out of a sorted list."""
    scrubber = Scrubber.of(["uuid", "tmp"], ["calls[*].result.a", '**["odd key"]'], ["calls[*].result.b"])
    assert scrubber_of(rules_of(scrubber)) == scrubber
    inner, outer = Rule("ignore", "calls[*].result.a.b"), Rule("ignore", "calls[*].result.a")
    assert sorted_rules([inner, Rule("scrub", "tmp"), outer, Rule("scrub", "uuid"), inner]) == [
        Rule("scrub", "uuid"), Rule("scrub", "tmp"), outer,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("result", "rules", "share"),
    [
        ({"a": 1, "b": 2}, {}, 1.0),
        ({"a": 1, "b": 2}, {"ignore": ["calls[*].result.a"]}, 0.5),
        ({"a": UUIDS[0], "b": 2}, {"scrubs": ["uuid"]}, 0.5),
        (f"id {UUIDS[0][:8]} at 2026-11-30", {"scrubs": ["timestamp"]}, 0.6),
        (f"({UUIDS[0]})", {"scrubs": ["uuid"]}, 0.0),
        ({"a": {"b": [1, 2, 3]}, "c": 1}, {"ignore": ["calls[*].result.a"]}, 0.25),
        ({"a": [3, 1]}, {"ignore_order": ["calls[*].result.a"]}, 1.0),
        ({"at": 1_732_960_000, "n": 1}, {"scrubs": ["epoch"]}, 0.5),
        ({"a": 1}, {"ignore": ["calls[*]"]}, 0.0),
        ("", {"scrubs": ["uuid"]}, 1.0),
    ],
)
def test_the_share_of_a_result_that_is_compared(result: Any, rules: dict[str, list[str]], share: float) -> None:
    """The share counts scalars, and of a partly masked text its letters and digits. No share is left only if masked."""
    masking = measure(of(result), Scrubber.of(**rules))
    assert masking.share == pytest.approx(share)
    assert masking.is_empty == (share == 0)
    assert bool(masking.values) == bool(rules and result)


def test_masked_values_are_counted_by_rule() -> None:
    """Each rule counts the values that it masks, partly or as a whole."""
    result = {"ids": [*UUIDS, "x"], "at": "2026-11-30", "deep": {"a": 1, "b": 2}, "list": [2, 1]}
    scrubber = Scrubber.of(["uuid", "timestamp"], ["calls[*].result.deep"], ["calls[*].result.list"])
    masking = measure(of(result), scrubber)
    assert {rule.flag: count for rule, count in masking.values.items()} == {
        "--scrub uuid": 2, "--scrub timestamp": 1, "--ignore 'calls[*].result.deep'": 1,
        "--ignore-order 'calls[*].result.list'": 1,
    }  # fmt: skip
    assert (masking.leaves, masking.kept) == (8, 3)


@given(st.recursive(constants, lambda inner: st.lists(inner, max_size=3)))
def test_without_rules_everything_is_compared(value: Any) -> None:
    """Without rules, or with rules that match nothing, the whole result is compared."""
    for scrubber in (Scrubber(), Scrubber.of(["uuid"], ["calls[*].result.none"])):
        masking = measure(of({"v": value}), scrubber)
        assert masking.kept == masking.leaves
        assert not masking.is_empty
        assert json_equal(+masking.values, {})


def test_a_rule_for_a_list_or_a_key_leaves_the_results_of_other_tools_alone() -> None:
    """Rules name the tool: the same list or key in the result of another tool is still compared."""
    runs = [transcript(id="q", calls=[call("shuffled", json.dumps(items))]) for items in (["b", "a"], ["a", "b"])]
    (place,) = find_volatile(runs, CompareOptions(), LATER)
    assert place.rule == Rule("ignore_order", "calls[tool=shuffled].result")
    options = CompareOptions(scrubber=scrubber_of([place.rule]))
    assert list(options.changes(*runs)) == []
    others = [transcript(id="q", calls=[call("kept", json.dumps(items))]) for items in (["b", "a"], ["a", "b"])]
    assert [change.what for change in options.changes(*others)] == ["result"]
    assert measure(runs[0], options.scrubber).values == {place.rule: 1}
    assert not measure(others[0], options.scrubber).values.total()
