"""Comparing queries that were run several times: as samples, not run by run."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.analysis.diff.repeats import Rate, p_value
from mcprun.analysis.diff.runs import QueryDiff, RunDiff
from mcprun.analysis.diff.transcripts import DEFAULT_ASPECTS, CompareOptions
from mcprun.runs.transcript_files import open_transcripts, repeated
from tests.support.cli import Result, run_mcprun, script, write_jsonl
from tests.support.forks import Forks
from tests.test_diff import call, calls, transcript
from tests.test_repeats import FLAKY

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


def run(folder: Path, name: str, *repeats: dict[str, Any]) -> Path:
    """Write repeats of the query `q` as a file of transcripts."""
    lines = ({"schema": 1, **transcript(repeat=number), **more} for number, more in enumerate(repeats, 1))
    return write_jsonl(
        folder / name, *({key: line[key] for key in ("schema", "id", "repeat", *line)} for line in lines)
    )


def compared(base: Path, head: Path, *aspects: str) -> tuple[list[QueryDiff], RunDiff]:
    """Compare two files of transcripts."""
    with open_transcripts(str(base)) as before, open_transcripts(str(head)) as after:
        options = CompareOptions(frozenset(aspects) or DEFAULT_ASPECTS)
        comparison = RunDiff(options, repeated=repeated(before, after))
        return list(comparison.compare(before, after)), comparison


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


def test_a_rate_that_may_be_chance(tmp_path: Path) -> None:
    """Ten of ten and eight of ten are the same, and counted as what may be chance."""
    good, bad = run(tmp_path, "good", *[PASSED] * 10), run(tmp_path, "bad", *[PASSED] * 8, *[FAILED] * 2)
    diffs, comparison = compared(good, bad)
    assert (diffs, comparison.summary.same, comparison.summary.chance) == ([], 1, 1)
    sure = run_mcprun("diff", good, bad, cwd=tmp_path)
    assert (sure.code, sure.stdout) == (
        0,
        "1 unchanged (1 with a different pass rate, not statistically significant)\n",
    )
    bold = run_mcprun("diff", good, bad, "--alpha", "0.5", cwd=tmp_path)
    assert (bold.code, bold.stdout) == (1, "~ q  10/10 → 8/10 passed, p = 0.47\n1 changed, 0 unchanged\n")


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


def test_what_could_not_be_tried(tmp_path: Path) -> None:
    """Errors differ, each kind is a way of its own, and none of it is a regression."""
    error = {"verdict": "error", "stop": "timeout", "error": {"kind": "query_timeout", "message": "late"}}
    good, late = run(tmp_path, "good", *[PASSED] * 6), run(tmp_path, "late", *[error] * 6)
    (diff,), comparison = compared(good, late)
    assert (diff.rates[1], diff.variants[0].is_unjudged, comparison.summary.regressions) == (Rate(0, 6, 6), True, 0)
    assert [change.after for change in diff.variants[0].changes] == ["timeout (query_timeout)"]
    failed = run(tmp_path, "failed", *[FAILED] * 6)
    assert compared(failed, late)[0] != []
    mixed = run(tmp_path, "mixed", *[FAILED] * 5, error)
    assert compared(good, mixed)[1].summary.regressions == 1
    fewer = run(tmp_path, "fewer", PASSED)
    done = run_mcprun("diff", good, fewer, cwd=tmp_path)
    assert (done.code, done.stdout) == (0, "1 unchanged (1 with fewer repeats than in BASE)\n")


def test_a_way_that_was_never_gone(tmp_path: Path) -> None:
    """What BASE did in any order and any share is no change; what it never did is new, held against what is nearest."""
    one, two = [call("a", "1", x=1)], [call("a", "1", x=1), call("b", "2")]
    three = [call("a", "1", x=1), call("b", "3")]
    base = run(tmp_path, "base", *({"calls": made} for made in (one, one, one, two)))
    other = run(tmp_path, "other", *({"calls": made} for made in (two, two, one)))
    assert compared(base, other)[0] == []
    head = run(tmp_path, "head", *({"calls": made} for made in (two, three, one, three)))
    (diff,), comparison = compared(base, head)
    (variant,) = diff.variants
    assert (variant.runs, variant.repeat, variant.against) == (2, 2, 4)
    assert [(change.what, change.before, change.after) for change in variant.changes] == [("result", "2", "3")]
    assert comparison.summary.regressions == 1
    assert compared(base, head, "verdict")[0] == compared(base, head, "calls")[0] == []
    done = run_mcprun("diff", base, head, cwd=tmp_path)
    assert (done.code, done.stdout.splitlines()) == (
        1,
        [
            "~ q  4/4 passed",
            "    new in 2 of 4 runs, for example repeat 2",
            "    call 1  b{}",
            "      - 2",
            "      + 3",
            "1 changed, 0 unchanged",
        ],
    )
    assert json.loads(run_mcprun("diff", base, head, "--json", cwd=tmp_path).stdout.splitlines()[0])["variants"]


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


def test_once_on_one_side(tmp_path: Path) -> None:
    """One run against several is a small sample; several against none are one query that is added or removed."""
    once, often, none = run(tmp_path, "once", PASSED), run(tmp_path, "often", *[PASSED] * 3), run(tmp_path, "none")
    assert compared(once, often)[0] == compared(often, once)[0] == []
    for base, head, how in ((none, often, "added"), (often, none, "removed")):
        (diff,), comparison = compared(base, head)
        assert (diff.how, comparison.summary.regressions) == (how, how == "removed")
        shown = run_mcprun("diff", base, head, cwd=tmp_path).stdout
        assert f"q  3/3 passed  only in {'HEAD' if how == 'added' else 'BASE'}" in shown


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


@pytest.fixture
def flaky(mcprun: Forks, tmp_path: Path) -> Result:
    """Eight runs of a query whose every fourth call fails, one after the other."""
    (tmp_path / "flaky.py").write_text(FLAKY)
    write_jsonl(tmp_path / "p.jsonl", script(("now_and_then", {}), id="sometimes", repeat=8), script(id="always"))
    return mcprun.run("batch", "p.jsonl", "flaky.py", "--concurrency", "1", "--out", "base", cwd=tmp_path)


def test_a_flaky_server_against_itself(mcprun: Forks, tmp_path: Path, flaky: Result) -> None:
    """Its results go on counting, which is scrubbed; that other repeats fail this time is no difference."""
    args = ("batch", "p.jsonl", "flaky.py", "--concurrency", "1", "--limit", "1", "--baseline", "base")
    flags = ("--ignore", "calls[*].result")
    (tmp_path / "calls").write_text("x")
    done = mcprun.run(*args, *flags, "--pass-rate", "0.1", cwd=tmp_path)
    assert [one["verdict"] for one in done.transcripts] != [one["verdict"] for one in flaky.transcripts][:8]
    assert (done.code, done.stdout.splitlines()[-1]) == (0, "1 unchanged")
    worse = mcprun.run(*args, cwd=tmp_path)
    assert (worse.code, "    new in 1 of 8 runs, for example repeat 1" in worse.stdout.splitlines()) == (1, True)
