"""Two routed runs are compared: the calls that the model asked for, and McNemar's test of the difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import SERVERS, write_jsonl
from tests.support.forks import Forks

TRACKER = SERVERS / "tracker.py"


def query(name: str, called: str | None, **given: Any) -> dict[str, Any]:
    """Return a query that expects close_issue with id 1, and whose script calls a tool with this input."""
    script = [{"calls": [{"tool": called, "input": given}]}] if called else [{"text": "no"}]
    return {
        "id": name,
        "prompt": name,
        "expect": {"calls": [{"tool": "close_issue", "input": {"id": 1}}]},
        "script": script,
    }


BASE = [
    *(query(f"q{n}", "close_issue", id=1) for n in range(8)),
    query("better", None),
    query("kept", "close_issue", id=1),
]
HEAD = [
    *(query(f"q{n}", "delete_issue", id=1) for n in range(8)),
    query("better", "close_issue", id=1),
    query("kept", "close_issue", id=1, why="x"),
]
UNGRADED = {"id": "ungraded", "prompt": "x", "script": [{"text": "y"}]}
TEST = "1 became right, 8 wrong: significant (p = 0.039, McNemar's test)"


@pytest.fixture
def runs(mcprun: Forks, tmp_path: Path) -> Path:
    """Return a folder with the routed runs `base` and `head`, and the run `made`, which made its calls."""
    for name, queries in (("base", BASE), ("head", HEAD)):
        prompts = write_jsonl(tmp_path / f"{name}.jsonl", *queries, UNGRADED)
        assert mcprun.run("batch", prompts, TRACKER, "--route", "--out", name, cwd=tmp_path).code == 1
    assert mcprun.run("batch", "base.jsonl", TRACKER, "--out", "made", cwd=tmp_path).code == 1
    return tmp_path


def test_the_difference_of_two_routed_runs_is_tested(mcprun: Forks, runs: Path) -> None:
    """Each format has the test, the queries that became wrong, and the recall that changed."""
    done = mcprun.run("diff", "base", "head", "--html", "d.html", cwd=runs)
    assert done.code == 1
    assert "~ routing  9 of 10 (90 %) → 2 of 10 (20 %) right" in done.stdout
    assert TEST in done.stdout
    assert "✗ now wrong: q0 (close_issue → delete_issue)" in done.stdout
    assert "now right: better (no call → close_issue)" in done.stdout
    assert "recall of close_issue: 9/10 (90 %) → 2/10 (20 %)" in done.stdout
    assert "~ kept  passed\n    call 0  close_issue  input\n      + why: x" in done.stdout
    page = (runs / "d.html").read_text()
    assert "Routing: 9 of 10 (90 %) → 2 of 10 (20 %) right" in page
    assert "✗" not in page.split("Routing: ")[0]
    assert "now wrong: q0 (close_issue → delete_issue)" in page
    markdown = mcprun.run("diff", "base", "head", "--markdown", cwd=runs).stdout
    assert TEST in markdown.split("</summary>")[0]
    lines = map(
        json.loads, mcprun.run("diff", "base", "head", "--json", "--alpha", "0.01", cwd=runs).stdout.splitlines()
    )
    (routing,) = (line["routing"] for line in lines if "routing" in line)
    assert (routing["gained"], routing["lost"], routing["p"], routing["significant"]) == (1, 8, 0.039062, False)


def test_files_of_transcripts_are_compared_as_routed_ones(mcprun: Forks, runs: Path) -> None:
    """Without run.json, the transcripts tell whether they are routed."""
    for name in ("base", "head", "made"):
        (runs / f"{name}-copy.jsonl").write_bytes((runs / name / "transcripts.jsonl").read_bytes())
    assert TEST in mcprun.run("diff", "base-copy.jsonl", "head-copy.jsonl", cwd=runs).stdout
    assert mcprun.run("diff", "base-copy.jsonl", "made-copy.jsonl", cwd=runs).code == 2


def test_a_routed_run_is_compared_with_routed_ones_only(mcprun: Forks, runs: Path) -> None:
    """Comparing it with a run that makes its calls is exit 2, before anything is run."""
    for sides in (("base", "made"), ("made", "base")):
        done = mcprun.run("diff", *sides, cwd=runs)
        assert done.code == 2
        assert "(base) is a routed run, which makes no calls, and " in " ".join(done.stderr.split())
    for baseline, flags, message in (
        ("made", ["--route"], "--baseline made is not a routed run"),
        ("base", [], "--baseline base is a routed run, which makes no calls: add --route"),
    ):
        done = mcprun.run("batch", "base.jsonl", TRACKER, *flags, "--baseline", baseline, "--out", "new", cwd=runs)
        assert (done.code, (runs / "new").exists()) == (2, False)
        assert message in " ".join(done.stderr.split())


def test_a_routed_run_regresses_against_its_baseline(mcprun: Forks, runs: Path) -> None:
    """The queries that became wrong are regressions, and reports have the test. Merged shards have that of all."""
    assert mcprun.run("bless", "base", "accepted", cwd=runs).code == 0
    whole = mcprun.run("batch", "head.jsonl", TRACKER, "--route", "--baseline", "accepted", "--out", "whole", cwd=runs)
    assert whole.code == 1
    assert TEST in whole.stdout
    assert whole.record["baseline"]["compared"]["regressions"] == 9
    for shard in ("1/3", "2/3", "3/3"):
        flags = ["--route", "--baseline", "accepted", "--shard", shard, "--out", f"s{shard[0]}"]
        assert mcprun.run("batch", "head.jsonl", TRACKER, *flags, cwd=runs).code in (0, 1)
    merged = mcprun.run("merge", "s1", "s2", "s3", "--out", "merged", cwd=runs)
    assert merged.code == 1
    assert TEST in merged.stdout
    assert "not graded: 1 query" in " ".join(merged.stdout.split())
    assert merged.record["route"] == whole.record["route"]
    assert merged.record["counts"] == whole.record["counts"]
    report = mcprun.run("report", "whole", "--html", "w.html", "--markdown", "w.md", cwd=runs)
    assert report.code in (0, 1), report.stderr
    assert TEST in (runs / "w.html").read_text().replace("&#39;", "'")
