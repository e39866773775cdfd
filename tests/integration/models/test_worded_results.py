"""A recording replays green although mcprun has worded its own results otherwise since."""

from __future__ import annotations

from pathlib import Path

from tests.support.cli import RAW, run_mcprun, script, write_jsonl
from tests.support.forks import Forks


def test_a_result_that_mcprun_worded_replays_by_its_problem(mcprun: Forks, tmp_path: Path) -> None:
    """Without the `problem`, as in recordings of earlier versions, the recorded text counts."""
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(("hang", {}), id=name) for name in ("known", "unknown")))
    flags = ("--call-timeout", "0.5", "--allow-tool-errors")
    recorded = mcprun.run("batch", prompts, RAW, "--out", "recorded", *flags, cwd=tmp_path)
    known, unknown = recorded.transcripts
    assert known["calls"][0]["problem"] == "timeout"
    for one in (known, unknown):
        one["calls"][0]["content"][0]["text"] = "Worded otherwise."
    del unknown["calls"][0]["problem"]
    write_jsonl(recorded.run / "transcripts.jsonl", known, unknown)
    replayed = mcprun.run("batch", prompts, RAW, "--model", "replay:recorded", "--out", "head", *flags, cwd=tmp_path)
    assert [one["calls"][0]["diverged"] for one in replayed.transcripts] == [False, True]
    assert "1 changed, 1 unchanged" in run_mcprun("diff", "recorded", "head", cwd=tmp_path).stdout
