"""`mcprun diff` of repeated queries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcprun.analysis.diff.repeats import Rate
from tests.support.cli import Result, run_mcprun, script, write_jsonl
from tests.support.flaky import FLAKY
from tests.support.forks import Forks
from tests.support.repeated_queries import compared, run
from tests.support.transcripts import call

PASSED, FAILED = {"verdict": "passed"}, {"verdict": "failed"}


def test_a_pass_rate_that_may_differ_by_chance_is_unchanged(tmp_path: Path) -> None:
    """Pass rates of 10/10 and 8/10 are unchanged. They are listed, and counted as moved within chance.

    A higher `--alpha` reports them as changed.
    """
    good, bad = run(tmp_path, "good", *[PASSED] * 10), run(tmp_path, "bad", *[PASSED] * 8, *[FAILED] * 2)
    diffs, comparison = compared(good, bad)
    assert (diffs, comparison.summary.same, comparison.summary.chance) == ([], 1, 1)
    default = run_mcprun("diff", good, bad, cwd=tmp_path)
    assert (default.code, default.stdout) == (
        0,
        "= q  10/10 → 8/10 passed, within chance (p = 0.47)\n1 unchanged; 1 pass rate moved, within chance\n",
    )
    sensitive = run_mcprun("diff", good, bad, "--alpha", "0.5", cwd=tmp_path)
    assert (sensitive.code, sensitive.stdout) == (1, "~ q  10/10 → 8/10 passed, p = 0.47\n1 changed, 0 unchanged\n")


def test_errors_are_differences_but_not_regressions(tmp_path: Path) -> None:
    """Repeats that end in an error are a difference, with one variant per kind of error, but not a regression.

    Fewer repeats than in BASE are unchanged.
    """
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


def test_new_calls_are_compared_with_the_nearest_variant(tmp_path: Path) -> None:
    """Sequences of calls that occur in BASE are unchanged in any order and share.

    A new sequence is compared with the nearest one in BASE.
    """
    one, two = [call("a", "1", x=1)], [call("a", "1", x=1), call("b", "2")]
    three = [call("a", "1", x=1), call("b", "3")]
    base = run(tmp_path, "base", *({"calls": sequence} for sequence in (one, one, one, two)))
    other = run(tmp_path, "other", *({"calls": sequence} for sequence in (two, two, one)))
    assert compared(base, other)[0] == []
    head = run(tmp_path, "head", *({"calls": sequence} for sequence in (two, three, one, three)))
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


def test_one_repeat_compares_with_several_and_none_is_added_or_removed(tmp_path: Path) -> None:
    """One repeat against several is unchanged. Several against none are one added or removed query."""
    once, often, none = run(tmp_path, "once", PASSED), run(tmp_path, "often", *[PASSED] * 3), run(tmp_path, "none")
    assert compared(once, often)[0] == compared(often, once)[0] == []
    for base, head, how in ((none, often, "added"), (often, none, "removed")):
        (diff,), comparison = compared(base, head)
        assert (diff.how, comparison.summary.regressions) == (how, how == "removed")
        shown = run_mcprun("diff", base, head, cwd=tmp_path).stdout
        assert (
            f"q  3/3 passed  {'new query, not in BASE' if how == 'added' else 'missing query, only in BASE'}" in shown
        )


@pytest.fixture
def flaky(mcprun: Forks, tmp_path: Path) -> Result:
    """Run a query eight times, one after the other, on a server whose every fourth call fails."""
    (tmp_path / "flaky.py").write_text(FLAKY)
    write_jsonl(tmp_path / "p.jsonl", script(("now_and_then", {}), id="sometimes", repeat=8), script(id="always"))
    return mcprun.run("batch", "p.jsonl", "flaky.py", "--concurrency", "1", "--out", "base", cwd=tmp_path)


def test_a_flaky_server_does_not_regress_against_itself(mcprun: Forks, tmp_path: Path, flaky: Result) -> None:
    """With its counting results ignored, a flaky server is unchanged although other repeats fail.

    With them, the result is a regression.
    """
    args = ("batch", "p.jsonl", "flaky.py", "--concurrency", "1", "--limit", "1", "--baseline", "base")
    flags = ("--ignore", "calls[*].result")
    (tmp_path / "calls").write_text("x")
    done = mcprun.run(*args, *flags, "--pass-rate", "0.1", cwd=tmp_path)
    assert [one["verdict"] for one in done.transcripts] != [one["verdict"] for one in flaky.transcripts][:8]
    assert (done.code, done.stdout.splitlines()[-1]) == (0, "1 unchanged")
    worse = mcprun.run(*args, cwd=tmp_path)
    assert (worse.code, "    new in 1 of 8 runs, for example repeat 1" in worse.stdout.splitlines()) == (1, True)
