"""Repeats: a query run several times, its pass rate, and what counts as enough."""

from __future__ import annotations

import signal
import sys
from itertools import combinations
from math import nextafter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.statistics import pass_at_k, pass_hat_k, wilson
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.transcript import Verdict
from tests.support.cli import RAW, Result, script, write_jsonl
from tests.support.forks import Forks

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

FLAKY = """
import json, pathlib, sys
note = pathlib.Path("calls")
for line in sys.stdin:
    message = json.loads(line)
    number, method = message.get("id"), message.get("method")
    if number is None:
        continue
    result = {}
    if method == "initialize":
        info = {"name": "flaky", "version": "0"}
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    elif method == "tools/list":
        result = {"tools": [{"name": "now_and_then", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        count = len(note.read_text()) if note.exists() else 0
        note.write_text("x" * (count + 1))
        result = {"content": [{"type": "text", "text": str(count)}], "isError": count % 4 == 1}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": number, "error": {"code": -32601, "message": "no"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
"""
"""A server whose every fourth call fails, beginning with the second."""


@given(st.integers(1, 7), st.data())
def test_chances_are_those_of_drawing(runs: int, data: st.DataObject) -> None:
    """pass@k and pass^k are the shares of all ways to draw k of the runs that hold one pass, and nothing but passes."""
    passed, k = data.draw(st.integers(0, runs)), data.draw(st.integers(1, runs))
    drawn = list(combinations([True] * passed + [False] * (runs - passed), k))
    assert pass_at_k(k, passed, runs) == pytest.approx(sum(map(any, drawn)) / len(drawn))
    assert pass_hat_k(k, passed, runs) == pytest.approx(sum(map(all, drawn)) / len(drawn))


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_rate(runs: int, data: st.DataObject) -> None:
    """It lies within 0 and 1, holds the rate that was seen, and gets narrower with more runs."""
    passed = data.draw(st.integers(0, runs))
    low, high = wilson(passed, runs)
    assert 0 <= low <= passed / runs <= high <= 1
    wider = wilson(passed * 10, runs * 10)
    assert wider[1] - wider[0] < high - low


def test_the_interval_is_wilsons() -> None:
    """As the textbooks have it."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0, 0.2775328), abs=1e-6)


def test_errors_stay_in_the_denominator() -> None:
    """What could not be tried is no pass, and makes nothing flaky."""
    verdicts = {Verdict.PASSED: 3, Verdict.FAILED: 0, Verdict.ERROR: 1, Verdict.SKIPPED: 1}
    reported = summarize_repeats("q", verdicts, 0.6)
    assert (reported.runs, reported.pass_rate, reported.error, reported.skipped, reported.flaky, reported.is_met) == (
        5,
        0.6,
        1,
        1,
        False,
        True,
    )


@given(st.integers(1, 500), st.data())
def test_a_rate_is_met_by_the_counts_and_not_by_the_rounded_rate(runs: int, data: st.DataObject) -> None:
    """5 of 6 meet 0.8333333, however `pass_rate` is rounded; a rate just above what passed is not met."""
    passed = data.draw(st.integers(1, runs))
    verdicts = {Verdict.PASSED: passed, Verdict.FAILED: runs - passed, Verdict.ERROR: 0, Verdict.SKIPPED: 0}
    rate = passed / runs
    assert summarize_repeats("q", verdicts, rate).is_met
    assert not summarize_repeats("q", verdicts, nextafter(rate, 2)).is_met


def flaky(mcprun: Forks, folder: Path, *flags: str, **more: Any) -> Result:
    """Run a query against the flaky server, one run after the other."""
    (folder / "flaky.py").write_text(FLAKY)
    write_jsonl(folder / "p.jsonl", script(("now_and_then", {}), id="sometimes", **more), script(id="always"))
    return mcprun.run("batch", "p.jsonl", "flaky.py", "--concurrency", "1", *flags, cwd=folder)


def test_a_flaky_query(mcprun: Forks, tmp_path: Path) -> None:
    """Each repeat has its transcript, in order; the rate, its interval and the chances stand in the record."""
    done = flaky(mcprun, tmp_path, "--repeat", "4")
    assert done.code == 1
    assert [(one["id"], one["repeat"], one["verdict"]) for one in done.transcripts] == [
        ("sometimes", 1, "passed"), ("sometimes", 2, "failed"), ("sometimes", 3, "passed"), ("sometimes", 4, "passed"),
        *(("always", repeat, "passed") for repeat in range(1, 5)),
    ]  # fmt: skip
    reported, steady = done.record["repeats"]
    assert (reported["pass_rate"], reported["flaky"], reported["pass_at"][1], reported["pass_hat"][1]) == (
        0.75,
        True,
        1.0,
        0.5,
    )
    assert (steady["pass_rate"], steady["flaky"], steady["pass_hat"]) == (1.0, False, [1.0] * 4)
    assert "sometimes  3/4 passed, 75% (95% CI 30% to 95%), pass@4 1.00, pass^4 0.00, flaky" in done.stdout
    assert "failed  sometimes (2)  2 turns" in done.stderr
    shown = mcprun.run("show", cwd=tmp_path)
    assert "failed  sometimes (2)" in shown.stdout


@pytest.mark.parametrize(
    ("flags", "expect", "code"),
    [
        (("--pass-rate", "0.75"), {}, 0),
        (("--pass-rate", "0.8"), {}, 1),
        ((), {"pass_rate": 0.5}, 0),
        (("--pass-rate", "0.1"), {"pass_rate": 0.9}, 1),
    ],
)
def test_what_is_enough(
    mcprun: Forks, tmp_path: Path, flags: tuple[str, ...], expect: dict[str, Any], code: int
) -> None:
    """A query that reaches the rate that was asked for, by itself or by the run, does not fail the run."""
    done = flaky(mcprun, tmp_path, "--repeat", "4", *flags, expect=expect)
    assert (done.code, done.record["counts"]["failed"]) == (code, 1)
    assert "required" in done.stdout


def test_an_error_is_excused_by_no_rate(mcprun: Forks, tmp_path: Path) -> None:
    """A rate is of passes: what could not be tried makes the run end with 3 all the same."""
    write_jsonl(tmp_path / "p.jsonl", script(("die", {}), id="q"), script(id="ok"))
    done = mcprun.run("batch", "p.jsonl", RAW, "--repeat", "2", "--restarts", "30", cwd=tmp_path)
    assert (done.code, list(done.verdicts.values())) == (3, ["error", "passed"])


def test_a_querys_own_repeats(mcprun: Forks, tmp_path: Path) -> None:
    """They come before the flag; a single run needs no summing up."""
    write_jsonl(tmp_path / "p.jsonl", script(id="a", repeat=3), script(id="b"), script(id="c", repeat=1))
    done = mcprun.run("batch", "p.jsonl", RAW, cwd=tmp_path)
    assert [(one["id"], one["repeat"]) for one in done.transcripts] == [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 1),
        ("c", 1),
    ]
    assert [one["id"] for one in done.record["repeats"]] == ["a"]
    assert (done.record["prompts"]["queries"], done.record["prompts"]["runs"]) == (3, 5)
    replayed = mcprun.run("batch", "p.jsonl", RAW, "--model", f"replay:{done.run}", cwd=tmp_path)
    assert replayed.bytes == done.bytes


def test_repeats_are_resumed(mcprun: Forks, tmp_path: Path) -> None:
    """Killed in between, every repeat is there once; more may be asked for, and less is refused."""
    write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=name) for name in "abc"))
    whole = mcprun.run("batch", "p.jsonl", RAW, "--repeat", "3", cwd=tmp_path)
    lines = mcprun.lines("batch", "p.jsonl", RAW, "--repeat", "3", cwd=tmp_path)
    for part in (0.6, 0.7, 0.8):
        run = f"killed-{part}"
        killed = mcprun.run(
            "batch", "p.jsonl", RAW, "--repeat", "3", "--out", run, cwd=tmp_path, kill=int(lines * part)
        )
        assert killed.code == -signal.SIGKILL
        again = mcprun.run("batch", "--resume", run, cwd=tmp_path)
        assert (again.code, again.bytes, again.record["repeats"]) == (0, whole.bytes, whole.record["repeats"])
    less = mcprun.run("batch", "--resume", "killed-0.6", "--repeat", "2", cwd=tmp_path)
    assert (less.code, "already has more repeats of 'a', 'b', 'c' than requested" in less.stderr) == (2, True)
    more = mcprun.run("batch", "--resume", "killed-0.6", "--repeat", "4", cwd=tmp_path)
    assert (more.code, len(more.transcripts)) == (0, 12)
