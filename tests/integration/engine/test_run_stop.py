"""Runs that stop early: queries in flight, queries that never start, and the exit code."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import RAW, script, write_jsonl
from tests.support.forks import Forks

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def query(name: str, *tools: str) -> dict[str, Any]:
    """Return a query that calls each of `tools` once."""
    return script(*((tool, {}) for tool in tools)) | {"id": name}


def test_run_timeout_skips_the_remaining_queries(mcprun: Forks, tmp_path: Path) -> None:
    """At `--run-timeout`, queries in flight stop with their transcript so far, and the others are skipped.

    A resume completes all of them.
    """
    queries = [query("a", "ok"), query("b", "ok", "hang"), query("c", "ok"), query("d", "ok")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ["--concurrency", "1", "--run-timeout", "1"]
    done = mcprun.run("batch", "p.jsonl", RAW, *flags, cwd=tmp_path)
    assert done.code == 3
    assert done.verdicts == {"a": "passed", "b": "skipped", "c": "skipped", "d": "skipped"}
    assert {one["stop"] for one in done.transcripts[1:]} == {"timeout"}
    assert {one["error"]["kind"] for one in done.transcripts[1:]} == {"run_timeout"}
    in_flight, unstarted = done.transcripts[1:3]
    assert [call["tool"] for call in in_flight["calls"]] == ["ok"]
    assert re.fullmatch(
        r"the run ended before the query finished: the run did not finish within 1 s \(--run-timeout\);"
        r" waiting for call 1, `hang` \(for \d\.\d s\)",
        in_flight["error"]["message"],
    )
    assert unstarted["error"]["message"] == "not started: the run did not finish within 1 s (--run-timeout)"
    assert (unstarted["messages"], unstarted["attempts"]) == ([], 0)
    assert (done.record["state"], done.record["error"]["kind"]) == ("interrupted", "run_timeout")
    assert done.stderr.count("Error: ") == 1
    assert "Stopped early: the run did not finish within 1 s (--run-timeout). 3 of 4 were not run." in done.stdout
    resumed = mcprun.run("batch", "--resume", "latest", "--run-timeout", "60", "--call-timeout", "0.1", cwd=tmp_path)
    assert resumed.verdicts == {"a": "passed", "b": "failed", "c": "passed", "d": "passed"}


def test_run_ends_when_its_restarts_are_used_up(mcprun: Forks, tmp_path: Path) -> None:
    """After `--restarts` restarts the run stops, skips the remaining queries, and prints how to resume."""
    queries = [query("a", "ok"), query("b", "die"), query("c", "die"), query("d", "ok")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = mcprun.run("batch", "p.jsonl", RAW, "--restarts", "3", "--concurrency", "1", cwd=tmp_path)
    assert done.code == 3
    assert done.verdicts == {"a": "passed", "b": "error", "c": "skipped", "d": "skipped"}
    assert done.record["error"]["kind"] == "server_died"
    assert [one["error"]["kind"] for one in done.transcripts[1:]] == ["server_died"] * 3
    assert "after 3 restarts, the limit set by --restarts" in done.stderr
    assert "mcprun batch --resume outputs/" in done.stderr
    resumed = mcprun.run("batch", "--resume", "latest", "--restarts", "9", cwd=tmp_path)
    assert resumed.verdicts == {"a": "passed", "b": "error", "c": "error", "d": "passed"}


def test_server_that_never_starts_leaves_latest_unchanged(mcprun: Forks, tmp_path: Path) -> None:
    """The run fails with one error and no offer to resume, and `outputs/latest` names the previous run."""
    write_jsonl(tmp_path / "p.jsonl", query("a", "ok"))
    before = mcprun.run("batch", "p.jsonl", RAW, cwd=tmp_path)
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", "--", "exit", cwd=tmp_path)
    assert (done.code, done.stderr.count("Error: "), "resume" in done.stderr) == (3, 1, False)
    assert (tmp_path / "outputs" / "latest").resolve() == before.run.resolve()
    assert (tmp_path / "outputs" / "latest").resolve() == before.run
    resumed = mcprun.run("batch", "--resume", "run", "--", "", cwd=tmp_path)
    assert (resumed.code, resumed.verdicts) == (0, {"a": "passed"})


def test_unwritable_output_folder_is_named(mcprun: Forks, tmp_path: Path) -> None:
    """Nothing runs, and one message names the folder that cannot be written."""
    write_jsonl(tmp_path / "p.jsonl", query("a", "ok"))
    (tmp_path / "file").touch()
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "file/run", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "Error: can't create the run's folder file/run: Not a directory\n")
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "/proc/self/fd", cwd=tmp_path)
    assert done.code == 2
    if os.geteuid():  # root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        done = mcprun.run("batch", "p.jsonl", RAW, "--out", "closed", cwd=tmp_path)
        assert (done.code, done.stderr) == (2, "Error: can't write closed/trace.jsonl: Permission denied\n")
