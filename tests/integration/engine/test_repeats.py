"""Repeated queries and their pass rate."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import RAW, script, squeezed, write_jsonl
from tests.support.flaky import flaky
from tests.support.forks import Forks

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def test_flaky_query_is_summarised(mcprun: Forks, tmp_path: Path) -> None:
    """Each repeat has a transcript, in order, and run.json has the pass rate, its interval, pass@k and pass^k."""
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
    lines = squeezed(done.stdout)
    assert "sometimes  ✓✗✓✓  3/4   75 %  30 %       ├────────▪───┤ 95 %" in done.stdout
    assert "1 of 2 repeated queries below its rate" in lines
    assert lines[-1] == "FAILED: 1 of 2 repeated queries below its rate"
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
def test_required_pass_rate_decides_the_exit_code(
    mcprun: Forks, tmp_path: Path, flags: tuple[str, ...], expect: dict[str, Any], code: int
) -> None:
    """A query that reaches its own `pass_rate`, or else `--pass-rate`, does not fail the run."""
    done = flaky(mcprun, tmp_path, "--repeat", "4", *flags, expect=expect)
    assert (done.code, done.record["counts"]["failed"]) == (code, 1)
    assert "  needs " in done.stdout


def test_pass_rate_does_not_excuse_errors(mcprun: Forks, tmp_path: Path) -> None:
    """A query that ends with an error makes the run exit with 3, whatever the pass rate."""
    write_jsonl(tmp_path / "p.jsonl", script(("die", {}), id="q"), script(id="ok"))
    done = mcprun.run("batch", "p.jsonl", RAW, "--repeat", "2", "--restarts", "30", cwd=tmp_path)
    assert (done.code, list(done.verdicts.values())) == (3, ["error", "passed"])


def test_query_overrides_the_number_of_repeats(mcprun: Forks, tmp_path: Path) -> None:
    """A query's `repeat` sets how often it runs; a query that runs once has no summary in run.json."""
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


def test_killed_run_with_repeats_is_resumed(mcprun: Forks, tmp_path: Path) -> None:
    """A killed run resumes to one transcript per repeat; `--repeat` may be raised, but lowering it is refused."""
    write_jsonl(tmp_path / "p.jsonl", *(script(("ok", {}), id=name) for name in "abc"))
    uninterrupted = mcprun.run("batch", "p.jsonl", RAW, "--repeat", "3", cwd=tmp_path)
    lines = mcprun.lines("batch", "p.jsonl", RAW, "--repeat", "3", cwd=tmp_path)
    for part in (0.6, 0.7, 0.8):
        run = f"killed-{part}"
        killed = mcprun.run(
            "batch", "p.jsonl", RAW, "--repeat", "3", "--out", run, cwd=tmp_path, kill=int(lines * part)
        )
        assert killed.code == -signal.SIGKILL
        resumed = mcprun.run("batch", "--resume", run, cwd=tmp_path)
        assert (resumed.code, resumed.bytes, resumed.record["repeats"]) == (
            0,
            uninterrupted.bytes,
            uninterrupted.record["repeats"],
        )
    less = mcprun.run("batch", "--resume", "killed-0.6", "--repeat", "2", cwd=tmp_path)
    assert (less.code, "already has more repeats of 'a', 'b', 'c' than requested" in less.stderr) == (2, True)
    more = mcprun.run("batch", "--resume", "killed-0.6", "--repeat", "4", cwd=tmp_path)
    assert (more.code, len(more.transcripts)) == (0, 12)
