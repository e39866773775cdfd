"""Slim baselines: what comparisons need, and nothing else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from mcprun.analysis.diff.runs import RunDiff
from mcprun.runs.baseline import bless
from mcprun.runs.run import Run
from mcprun.runs.transcript import StepCall, Transcript
from tests.support.runs import call, transcript, write_run


def closing_of(number: int) -> Transcript:
    """Return a transcript in which an issue that a step created is closed."""
    created = [{"type": "text", "text": f"Created {number}."}]
    step = StepCall(
        step=0, phase="before", id="issue", tool="create", input={"title": "Broken"}, is_error=False, content=created,
        structured={"id": number},
    )  # fmt: skip
    return transcript(
        "close", call("close", f"Closed {number}.", input={"id": number}), vars={"number": number}, steps=[step]
    )


def test_a_slim_baseline_keeps_the_values_of_variables(tmp_path: Path) -> None:
    """It compares equal to a run with other values, and holds no results of steps."""
    with closing(Run.read(str(write_run(tmp_path / "base", [closing_of(17)])))) as run:
        bless(run, tmp_path / "slim", slim=True, force=False)
    head = write_run(tmp_path / "head", [closing_of(42)])
    lines = [(folder / "transcripts.jsonl").read_bytes().splitlines() for folder in (tmp_path / "slim", head)]
    assert list(RunDiff().compare(*lines)) == []
    (kept,) = Transcript.model_validate_json(lines[0][0]).steps
    assert (kept.tool, kept.input, kept.content, kept.structured) == ("create", {"title": "Broken"}, [], None)
