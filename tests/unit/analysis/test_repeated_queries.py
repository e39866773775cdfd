"""Comparison of repeated queries as samples."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.analysis.diff.repeats import Rate, p_value
from mcprun.analysis.diff.runs import RunDiff
from mcprun.runs.transcript_files import open_transcripts, repeated
from tests.support.cli import write_jsonl
from tests.support.repeated_queries import compared, run
from tests.support.transcripts import call, calls, transcript

rates = st.integers(1, 12).flatmap(lambda runs: st.builds(Rate, st.integers(0, runs), st.just(runs)))


@given(rates, rates)
def test_the_p_value_equals_exhaustive_enumeration(one: Rate, other: Rate) -> None:
    """The p-value is exact.

    It is the share of all ways to distribute the passes over the runs that are at most as likely as the observed one.
    """
    runs, passed = one.runs + other.runs, one.passed + other.passed
    ways = [comb(one.runs, k) * comb(other.runs, passed - k) for k in range(passed + 1)]
    assert sum(ways) == comb(runs, passed)
    expected = sum(count for count in ways if count <= ways[one.passed]) / comb(runs, passed)
    assert p_value(one, other) == pytest.approx(expected)
    assert 0 < p_value(one, other) <= 1
    assert p_value(one, other) == p_value(other, one)


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [
        ((3, 4), (1, 4), 0.485714),
        ((1, 10), (11, 14), 0.002759),
        ((8, 10), (1, 6), 0.034965),
        ((5, 5), (0, 5), 0.007937),
    ],
)
def test_the_p_value_matches_published_values_of_fishers_test(
    one: tuple[int, int], other: tuple[int, int], p: float
) -> None:
    """`p_value` returns published values of Fisher's exact test, two-sided."""
    assert p_value(Rate(*one), Rate(*other)) == pytest.approx(p, abs=1e-6)


PASSED, FAILED = {"verdict": "passed"}, {"verdict": "failed"}


def test_a_significant_drop_of_the_pass_rate_is_a_regression(tmp_path: Path) -> None:
    """10/10 and 4/10 differ significantly; the drop is a regression, the rise is not."""
    good, bad = run(tmp_path, "good", *[PASSED] * 10), run(tmp_path, "bad", *[PASSED] * 4, *[FAILED] * 6)
    (diff,), comparison = compared(good, bad)
    assert (diff.id, diff.repeat, diff.rates, diff.variants) == ("q", None, (Rate(10, 10), Rate(4, 10)), ())
    assert diff.p == pytest.approx(0.010836, abs=1e-6)
    assert (comparison.summary.changed, comparison.summary.regressions) == (1, 1)
    (diff,), comparison = compared(bad, good)
    assert (comparison.summary.changed, comparison.summary.regressions) == (1, 0)


def test_small_samples_regress_only_if_every_run_changed(tmp_path: Path) -> None:
    """With samples too small for significance, a change from all passed to all failed is a regression.

    A partial change counts as chance.
    """
    good, bad = run(tmp_path, "good", *[PASSED] * 3), run(tmp_path, "bad", *[FAILED] * 3)
    mixed = run(tmp_path, "once", PASSED, FAILED, PASSED)
    (diff,), comparison = compared(good, bad)
    assert diff.p == pytest.approx(0.1)
    assert comparison.summary.regressions == 1
    assert compared(bad, good)[1].summary.regressions == 0
    assert (compared(good, mixed)[0], compared(good, mixed)[1].summary.chance) == ([], 1)
    (diff,), _ = compared(run(tmp_path, "one", PASSED), run(tmp_path, "ten", *[FAILED] * 10))
    assert diff.is_regression


def test_text_and_usage_of_repeats_are_compared_on_request(tmp_path: Path) -> None:
    """On request, a new text is a new variant, and the means of turns and tokens are compared."""
    base = run(tmp_path, "base", *({"text": text, "turns": [{}], "usage": {"output_tokens": 4}} for text in "ab"))
    head = run(tmp_path, "head", *({"text": text, "turns": [{}], "usage": {"output_tokens": 5}} for text in "bc"))
    assert compared(base, head)[0] == []
    (diff,), _ = compared(base, head, "text")
    assert [change.what for variant in diff.variants for change in variant.changes] == ["text"]
    (diff,), _ = compared(base, head, "usage")
    assert [(change.before, change.after) for change in diff.changes] == [
        ({"turns": 1.0, "output_tokens": 4.0}, {"turns": 1.0, "output_tokens": 5.0})
    ]


def test_repeats_with_equal_numbers_are_one_variant(tmp_path: Path) -> None:
    """1 and 1.0 are one variant, and lines with another order of keys compare as equal."""
    base = run(tmp_path, "base", *({"calls": [call("a", structured={"n": n}, x=n)]} for n in (1, 1.0)))
    lines = map(json.loads, base.read_text().splitlines())
    head = write_jsonl(tmp_path / "head", *(dict(sorted(line.items())) for line in lines))
    assert compared(base, head)[0] == compared(head, base)[0] == []
    assert compared(base, head)[1].summary.same == 1


@pytest.mark.parametrize("name", ["café", "a/b", 'a"b', "q", "日本", "a\U0001f600"])
def test_repeats_are_counted_across_json_spellings_of_an_id(tmp_path: Path, name: str) -> None:
    """Lines of one query are counted together, however its id is escaped and whatever the order of keys."""
    lines = [{"schema": 1, "id": name, **transcript(id=name, repeat=number)} for number in (1, 2, 3)]
    lines = [{"schema": 1, "id": name, "repeat": line["repeat"], **line} for line in lines]
    plain = [json.dumps(line, ensure_ascii=False) for line in lines]
    escaped = [line.replace("/", "\\/").replace('"q"', '"\\u0071"') for line in map(json.dumps, lines)]
    respelled = [escaped[0], plain[1], json.dumps(dict(reversed(lines[2].items())))]
    base, head = (tmp_path / side for side in ("base", "head"))
    base.write_text("".join(f"{line}\n" for line in plain), encoding="utf-8")
    head.write_text("".join(f"{line}\n" for line in respelled), encoding="utf-8")
    with open_transcripts(str(base)) as before, open_transcripts(str(head)) as after:
        assert repeated(before, after) == {name: (3, 3)}
    assert compared(base, head)[0] == compared(head, base)[0] == []
    assert compared(base, head)[1].summary.same == 1


def test_p_values_of_large_samples() -> None:
    """The p-value of samples of 20,000 runs is approximated closely enough."""
    assert p_value(Rate(9_000, 20_000), Rate(9_100, 20_000)) == pytest.approx(0.3186, abs=2e-3)


@given(st.lists(calls, min_size=2, max_size=6), st.randoms())
def test_the_order_of_repeats_does_not_matter(repeats: list[list[dict[str, Any]]], random: Any) -> None:
    """A sample has no differences from two shuffled copies of itself."""
    lines = [
        json.dumps(transcript(repeat=number, calls=repeat_calls)).encode()
        for number, repeat_calls in enumerate(repeats, 1)
    ]
    doubled = [*lines, *lines]
    random.shuffle(doubled)
    comparison = RunDiff(repeated={"q": (len(lines), len(doubled))})
    assert list(comparison.compare(lines, doubled)) == []
    assert (comparison.summary.same, comparison.summary.chance) == (1, 0)
