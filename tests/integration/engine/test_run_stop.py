"""Runs that stop early: queries in flight, queries not started, and the exit code."""

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


def named(name: str, *tools: str) -> dict[str, Any]:
    """Make a query that calls some tools."""
    return script(*((tool, {}) for tool in tools)) | {"id": name}


def test_the_deadline_of_a_run(mcprun: Forks, tmp_path: Path) -> None:
    """It ends what is in flight with a whole transcript, and what was not started is skipped; resumed, all is done."""
    queries = [named("a", "ok"), named("b", "ok", "hang"), named("c", "ok"), named("d", "ok")]
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
        r" waiting for hang, call 1 \(for \d\.\d s\)",
        in_flight["error"]["message"],
    )
    assert unstarted["error"]["message"] == "not started: the run did not finish within 1 s (--run-timeout)"
    assert (unstarted["messages"], unstarted["attempts"]) == ([], 0)
    assert (done.record["state"], done.record["error"]["kind"]) == ("interrupted", "run_timeout")
    assert done.stderr.count("Error: ") == 1
    assert "Incomplete: 3 of 4 queries did not finish." in done.stdout
    again = mcprun.run("batch", "--resume", "latest", "--run-timeout", "60", "--call-timeout", "0.1", cwd=tmp_path)
    assert again.verdicts == {"a": "passed", "b": "failed", "c": "passed", "d": "passed"}


def test_the_restarts_of_a_run(mcprun: Forks, tmp_path: Path) -> None:
    """When they are spent the run ends, says so, and how to go on; what was not tried is skipped."""
    queries = [named("a", "ok"), named("b", "die"), named("c", "die"), named("d", "ok")]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    done = mcprun.run("batch", "p.jsonl", RAW, "--restarts", "3", "--concurrency", "1", cwd=tmp_path)
    assert done.code == 3
    assert done.verdicts == {"a": "passed", "b": "error", "c": "skipped", "d": "skipped"}
    assert done.record["error"]["kind"] == "server_died"
    assert [one["error"]["kind"] for one in done.transcripts[1:]] == ["server_died"] * 3
    assert "after 3 restarts, the limit set by --restarts" in done.stderr
    assert "mcprun batch --resume outputs/" in done.stderr
    again = mcprun.run("batch", "--resume", "latest", "--restarts", "9", cwd=tmp_path)
    assert again.verdicts == {"a": "passed", "b": "error", "c": "error", "d": "passed"}


def test_a_server_that_never_starts_leaves_nothing_to_go_on_with(mcprun: Forks, tmp_path: Path) -> None:
    """Every query is skipped, `latest` stays with the run before, and no resume is offered."""
    write_jsonl(tmp_path / "p.jsonl", named("a", "ok"))
    before = mcprun.run("batch", "p.jsonl", RAW, cwd=tmp_path)
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", "--", "exit", cwd=tmp_path)
    assert (done.code, done.stderr.count("Error: "), "resume" in done.stderr) == (3, 1, False)
    assert done.run == before.run or done.run == tmp_path / "run"
    assert (tmp_path / "outputs" / "latest").resolve() == before.run
    again = mcprun.run("batch", "--resume", "run", "--", "", cwd=tmp_path)
    assert (again.code, again.verdicts) == (0, {"a": "passed"})


def test_an_output_folder_that_can_not_be_written(mcprun: Forks, tmp_path: Path) -> None:
    """Nothing is run, and one message says which folder it is."""
    write_jsonl(tmp_path / "p.jsonl", named("a", "ok"))
    (tmp_path / "file").touch()
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "file/run", cwd=tmp_path)
    assert (done.code, done.stderr) == (2, "Error: can't create the run's folder file/run: Not a directory\n")
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "/proc/self/fd", cwd=tmp_path)
    assert done.code == 2
    if os.geteuid():  # whoever is root may write anywhere
        (tmp_path / "closed").mkdir(mode=0o500)
        done = mcprun.run("batch", "p.jsonl", RAW, "--out", "closed", cwd=tmp_path)
        assert (done.code, done.stderr) == (2, "Error: can't write closed/trace.jsonl: Permission denied\n")
