"""Compare a resumed run with the uninterrupted run of the same queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import RAW, Result, script, write_jsonl
from tests.support.forks import Forks


def some_queries() -> list[dict[str, Any]]:
    """Return twelve queries that pass, fail or end in an error, some with several turns."""
    queries = [script(("ok", {"n": n}), ("plain", {"n": n}), text=f"é{n}") | {"id": f"q{n}"} for n in range(10)]
    queries[3]["expect"] = {"text": {"contains": "no"}}
    queries[7]["script"] = [{"calls": [{"tool": "ok"}]}, {"calls": [{"tool": "sorry"}]}, {"text": "done"}]
    missing = {"$from": 0, "path": "/structuredContent/id"}
    broken = {"calls": [{"tool": "ok"}]}, {"calls": [{"tool": "ok", "input": {"id": missing}}]}
    return [*queries, script() | {"id": "says"}, script(id="broken", script=[*broken])]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Write the prompts file of the twelve queries."""
    return write_jsonl(tmp_path / "p.jsonl", *some_queries())


@pytest.fixture
def whole(mcprun: Forks, tmp_path: Path, prompts: Path) -> Result:
    """Run the queries without an interruption."""
    done = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    assert done.code == 1
    assert done.record["counts"] | {"usage": 0} == {
        "passed": 9, "failed": 2, "error": 1, "skipped": 0, "calls": 21, "tool_errors": 1, "diverged": 0, "turns": 23, "usage": 0
    }  # fmt: skip
    return done


def lines_until_half(mcprun: Forks, folder: Path) -> int:
    """Return the number of lines of code that a run executes until about half of the twelve queries are done."""
    starting = mcprun.lines("batch", "p.jsonl", RAW, "--limit", "1", "--out", "one", cwd=folder)
    return (starting + mcprun.lines("batch", "p.jsonl", RAW, "--out", "all", cwd=folder)) // 2


def same(resumed: Result, whole: Result, kills: int = 0) -> None:
    """Assert that a resumed run equals the uninterrupted one.

    The trace may lack the `query_end` of one query per kill, because its transcript is written first.
    """
    assert resumed.code == whole.code
    assert resumed.bytes == whole.bytes
    assert resumed.record["counts"] == whole.record["counts"]
    assert resumed.record["state"] == "finished"
    ends = [event["query"] for event in resumed.trace if event["event"] == "query_end"]
    assert set(ends) <= set(whole.verdicts)
    assert len(set(whole.verdicts) - set(ends)) <= kills


def resumed_part(done: Result) -> list[dict[str, Any]]:
    """Return the events of the trace since the last `run_start`."""
    starts = [number for number, event in enumerate(done.trace) if event["event"] == "run_start"]
    return done.trace[starts[-1] :]
