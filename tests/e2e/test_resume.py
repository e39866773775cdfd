"""A run killed at any moment resumes to the same result."""

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


def test_killed_at_any_moment(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """Kill -9 at a hundred points of a run, each followed by a resume: the same bytes as if nobody had."""
    lines = mcprun.lines("batch", "p.jsonl", RAW, cwd=tmp_path)
    points = random.Random(SEED).sample(range(1, lines), KILLS)
    left_early = left_late = 0
    for point in points:
        run = f"killed-{point}"
        killed = mcprun.run("batch", "p.jsonl", RAW, "--out", run, cwd=tmp_path, kill=point)
        assert killed.code in (-signal.SIGKILL, whole.code)
        if not (tmp_path / run / "run.json").exists():
            left_early += 1  # nothing was begun: there is nothing to resume, and nothing in the way of the same command
            again = mcprun.run("batch", "p.jsonl", RAW, "--out", run, cwd=tmp_path)
        else:
            done = read_whole(tmp_path / run / "transcripts.jsonl")
            left_late += bool(done)
            again = mcprun.run("batch", "--resume", run, cwd=tmp_path)
            tried = {event["query"] for event in resumed_part(again) if event["event"] == "query_end"}
            assert tried.isdisjoint(done)
        same(again, whole, kills=1)
    assert left_late > KILLS / 3
    assert left_early < KILLS / 2


def read_whole(file: Path) -> set[str]:
    """Give the ids of the whole lines of a file that may be torn."""
    return {json.loads(line)["id"] for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")}


def test_torn_anywhere(mcprun: Forks, tmp_path: Path, whole: Result) -> None:
    """Both JSONL files may be cut off anywhere, as a disk that lost its power leaves them."""
    chance = random.Random(SEED)
    for number in range(15):
        run = tmp_path / f"torn-{number}"
        run.mkdir()
        for name in ("run.json", "queries.jsonl", "transcripts.jsonl", "trace.jsonl", "server.log"):
            (run / name).write_bytes((whole.run / name).read_bytes())
        for name in ("transcripts.jsonl", "trace.jsonl"):
            data = (run / name).read_bytes()
            (run / name).write_bytes(data[: chance.randrange(len(data))])
        record = json.loads((run / "run.json").read_bytes()) | {"state": "started", "counts": None}
        (run / "run.json").write_text(json.dumps(record))
        again = mcprun.run("batch", "--resume", run, cwd=tmp_path)
        assert (again.code, again.bytes) == (whole.code, whole.bytes)
        assert again.record["counts"] == whole.record["counts"]
        assert all(isinstance(event, dict) for event in again.trace)


def test_a_kill_while_errors_are_tried_again_loses_none(mcprun: Forks, tmp_path: Path) -> None:
    """Who goes on finds what is new, and what is old where nothing new was written; and each query once."""
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
    assert len(counted) > 1  # some were killed before an error was tried again, some after
