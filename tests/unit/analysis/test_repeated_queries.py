"""Repeated queries are compared as samples."""

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
def test_chance_is_that_of_all_ways_to_deal(one: Rate, other: Rate) -> None:
    """The test is exact: it counts the ways to deal the passes out to the runs that are no likelier than this one."""
    runs, passed = one.runs + other.runs, one.passed + other.passed
    likely = [comb(one.runs, k) * comb(other.runs, passed - k) for k in range(passed + 1)]
    assert sum(likely) == comb(runs, passed)
    expected = sum(count for count in likely if count <= likely[one.passed]) / comb(runs, passed)
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
def test_chance_is_fishers(one: tuple[int, int], other: tuple[int, int], p: float) -> None:
    """As the textbooks have it, the tea with milk first of all."""
    assert p_value(Rate(*one), Rate(*other)) == pytest.approx(p, abs=1e-6)


PASSED, FAILED = {"verdict": "passed"}, {"verdict": "failed"}


def test_a_rate_that_chance_would_hardly_bring_about(tmp_path: Path) -> None:
    """Ten of ten and four of ten differ; it is a regression one way, and none the other."""
    good, bad = run(tmp_path, "good", *[PASSED] * 10), run(tmp_path, "bad", *[PASSED] * 4, *[FAILED] * 6)
    (diff,), comparison = compared(good, bad)
    assert (diff.id, diff.repeat, diff.rates, diff.variants) == ("q", None, (Rate(10, 10), Rate(4, 10)), ())
    assert diff.p == pytest.approx(0.010836, abs=1e-6)
    assert (comparison.summary.changed, comparison.summary.regressions) == (1, 1)
    (diff,), comparison = compared(bad, good)
    assert (comparison.summary.changed, comparison.summary.regressions) == (1, 0)


def test_too_few_runs_to_tell(tmp_path: Path) -> None:
    """What three runs of each side can't show by themselves counts when it is all of them, and else it is chance."""
    good, bad = run(tmp_path, "good", *[PASSED] * 3), run(tmp_path, "bad", *[FAILED] * 3)
    once = run(tmp_path, "once", PASSED, FAILED, PASSED)
    (diff,), comparison = compared(good, bad)
    assert diff.p == pytest.approx(0.1)
    assert comparison.summary.regressions == 1
    assert compared(bad, good)[1].summary.regressions == 0
    assert (compared(good, once)[0], compared(good, once)[1].summary.chance) == ([], 1)
    (diff,), _ = compared(run(tmp_path, "one", PASSED), run(tmp_path, "ten", *[FAILED] * 10))
    assert diff.is_regression


def test_text_and_usage_when_asked_for(tmp_path: Path) -> None:
    """New words are a new way to go, and of turns and tokens the means are compared."""
    base = run(tmp_path, "base", *({"text": text, "turns": [{}], "usage": {"output_tokens": 4}} for text in "ab"))
    head = run(tmp_path, "head", *({"text": text, "turns": [{}], "usage": {"output_tokens": 5}} for text in "bc"))
    assert compared(base, head)[0] == []
    (diff,), _ = compared(base, head, "text")
    assert [change.what for variant in diff.variants for change in variant.changes] == ["text"]
    (diff,), _ = compared(base, head, "usage")
    assert [(change.before, change.after) for change in diff.changes] == [
        ({"turns": 1.0, "output_tokens": 4.0}, {"turns": 1.0, "output_tokens": 5.0})
    ]


def test_a_number_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    """1 and 1.0 are one way to go; lines of another writer are paired by what they hold."""
    base = run(tmp_path, "base", *({"calls": [call("a", structured={"n": n}, x=n)]} for n in (1, 1.0)))
    lines = map(json.loads, base.read_text().splitlines())
    head = write_jsonl(tmp_path / "head", *(dict(sorted(line.items())) for line in lines))
    assert compared(base, head)[0] == compared(head, base)[0] == []
    assert compared(base, head)[1].summary.same == 1


@pytest.mark.parametrize("name", ["café", "a/b", 'a"b', "q", "日本", "a\U0001f600"])
def test_repeats_are_counted_by_ids_however_they_are_escaped(tmp_path: Path, name: str) -> None:
    """The lines of one query may hold its id escaped, unescaped, or in another order of keys."""
    lines = [{"schema": 1, "id": name, **transcript(id=name, repeat=number)} for number in (1, 2, 3)]
    lines = [{"schema": 1, "id": name, "repeat": line["repeat"], **line} for line in lines]
    plain = [json.dumps(line, ensure_ascii=False) for line in lines]
    escaped = [line.replace("/", "\\/").replace('"q"', '"\\u0071"') for line in map(json.dumps, lines)]
    spelled = [escaped[0], plain[1], json.dumps(dict(reversed(lines[2].items())))]
    base, head = (tmp_path / side for side in ("base", "head"))
    base.write_text("".join(f"{line}\n" for line in plain), encoding="utf-8")
    head.write_text("".join(f"{line}\n" for line in spelled), encoding="utf-8")
    with open_transcripts(str(base)) as before, open_transcripts(str(head)) as after:
        assert repeated(before, after) == {name: (3, 3)}
    assert compared(base, head)[0] == compared(head, base)[0] == []
    assert compared(base, head)[1].summary.same == 1


def test_many_runs_take_no_time() -> None:
    """Large binomials are not made one by one."""
    assert p_value(Rate(9_000, 20_000), Rate(9_100, 20_000)) == pytest.approx(0.3186, abs=2e-3)


@given(st.lists(calls, min_size=2, max_size=6), st.randoms())
def test_the_order_of_repeats_means_nothing(made: list[list[dict[str, Any]]], chance: Any) -> None:
    """A sample does not differ from itself in whatever order its runs stand, nor from itself taken twice."""
    lines = [json.dumps(transcript(repeat=number, calls=one)).encode() for number, one in enumerate(made, 1)]
    other = [*lines, *lines]
    chance.shuffle(other)
    comparison = RunDiff(repeated={"q": (len(lines), len(other))})
    assert list(comparison.compare(lines, other)) == []
    assert (comparison.summary.same, comparison.summary.chance) == (1, 0)
