"""A run that is killed at any point resumes to the same result."""

from __future__ import annotations

import json
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.support.cli import RAW, Result, script, write_jsonl
from tests.support.forks import Forks
from tests.support.resumption import prompts, resumed_part, same, whole

__all__ = ["prompts", "whole"]

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

KILLS = 100

SEED = 20261122


def test_a_run_killed_at_any_point_resumes_to_the_same_bytes(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """After `kill -9` at each of 100 points, a resume writes the same transcripts as an uninterrupted run."""
    lines = mcprun.lines("batch", "p.jsonl", RAW, cwd=tmp_path)
    points = random.Random(SEED).sample(range(1, lines), KILLS)
    killed_before_creation = killed_after_a_transcript = 0
    for point in points:
        run = f"killed-{point}"
        killed = mcprun.run("batch", "p.jsonl", RAW, "--out", run, cwd=tmp_path, kill=point)
        assert killed.code in (-signal.SIGKILL, whole.code)
        if not (tmp_path / run / "run.json").exists():
            killed_before_creation += 1  # the run was not created yet, so the same command works again
            resumed = mcprun.run("batch", "p.jsonl", RAW, "--out", run, cwd=tmp_path)
        else:
            done = ids_of_complete_lines(tmp_path / run / "transcripts.jsonl")
            killed_after_a_transcript += bool(done)
            resumed = mcprun.run("batch", "--resume", run, cwd=tmp_path)
            tried = {event["query"] for event in resumed_part(resumed) if event["event"] == "query_end"}
            assert tried.isdisjoint(done)
        same(resumed, whole, kills=1)
    assert killed_after_a_transcript > KILLS / 3
    assert killed_before_creation < KILLS / 2


def ids_of_complete_lines(file: Path) -> set[str]:
    """Return the ids in the complete lines of a file that may be truncated."""
    return {json.loads(line)["id"] for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")}


def test_a_run_with_truncated_files_resumes_to_the_same_bytes(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """Both JSONL files may be truncated anywhere, as after a power failure."""
    generator = random.Random(SEED)
    for number in range(15):
        run = tmp_path / f"torn-{number}"
        run.mkdir()
        for name in ("run.json", "queries.jsonl", "transcripts.jsonl", "trace.jsonl", "server.log"):
            (run / name).write_bytes((whole.run / name).read_bytes())
        for name in ("transcripts.jsonl", "trace.jsonl"):
            data = (run / name).read_bytes()
            (run / name).write_bytes(data[: generator.randrange(len(data))])
        record = json.loads((run / "run.json").read_bytes()) | {"state": "started", "counts": None}
        (run / "run.json").write_text(json.dumps(record))
        resumed = mcprun.run("batch", "--resume", run, cwd=tmp_path)
        assert (resumed.code, resumed.bytes) == (whole.code, whole.bytes)
        assert resumed.record["counts"] == whole.record["counts"]
        assert all(isinstance(event, dict) for event in resumed.trace)


def test_a_kill_during_retry_errors_loses_no_transcript(mcprun: Forks, tmp_path: Path) -> None:
    """After a kill during `--retry-errors`, each query has its new transcript if that was written, else its old one."""
    write_jsonl(
        tmp_path / "p.jsonl", *(script((tool, {}), id=f"{tool}{n}") for n in range(3) for tool in ("ok", "die"))
    )
    flags = ("--restarts", "99", "--concurrency", "1")
    first = mcprun.run("batch", "p.jsonl", RAW, "--out", "run", *flags, cwd=tmp_path)
    old = first.bytes.splitlines(keepends=True)
    retry = ("--resume", "run", "--retry-errors", "--concurrency", "1", "--", "harmless")
    lines = mcprun.lines("batch", *retry, cwd=tmp_path)
    new = first.bytes.splitlines(keepends=True)
    assert first.verdicts == dict.fromkeys(first.verdicts, "passed")
    counted: set[int] = set()
    for point in random.Random(SEED).sample(range(lines // 4, lines), 16):
        (first.run / "transcripts.jsonl").write_bytes(b"".join(old))
        assert mcprun.run("batch", *retry, cwd=tmp_path, kill=point).code == -signal.SIGKILL
        written = first.bytes.splitlines(keepends=True)
        mcprun.run("batch", "--resume", "run", "--", "harmless", cwd=tmp_path)
        found = first.bytes.splitlines(keepends=True)
        assert found == [one if one in written else other for one, other in zip(new, old, strict=True)]
        counted.add(sum(line not in old for line in found))
    assert len(counted) > 1  # some kills came before an error was retried, some after
