"""Commands refuse a damaged run, and `--resume` repairs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mcprun import UsageError, compare_runs
from mcprun.runs.run import Run
from tests.support.cli import RAW, run_mcprun, script, write_jsonl
from tests.support.damaged_runs import TRANSCRIPTS, edit_record, repeat_line, replace_line, run, stray_line, tear_last

__all__ = ["run"]


def test_torn_last_line_of_a_running_run_is_ignored(run: Path) -> None:
    """While a run is in progress, a torn last line is ignored, and counts are not checked."""
    edit_record(run, state="started", counts=None)
    tear_last(run)
    assert [one.id for one in Run.read(str(run)).transcripts()] == ["a", "b"]
    assert run_mcprun("show", "run", cwd=run.parent).code == 0


def test_every_command_refuses_a_damaged_run(tmp_path: Path) -> None:
    """Each command exits with 2, names the damaged file and writes nothing; `--resume` repairs the run."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(id="a"), script(id="b"))
    assert run_mcprun("batch", prompts, RAW, "--out", "good", cwd=tmp_path).code == 0
    for part in ("1/2", "2/2"):
        assert run_mcprun("batch", prompts, RAW, "--shard", part, "--out", f"s{part[0]}", cwd=tmp_path).code == 0
    shutil.copytree(tmp_path / "good", tmp_path / "bad")
    assert run_mcprun("bless", "good", "baseline", cwd=tmp_path).code == 0
    for folder in ("bad", "s2", "baseline"):
        tear_last(tmp_path / folder)
    for command in (
        ["show", "bad"],
        ["show", "bad", "a"],
        ["report", "bad", "--junit", "j.xml"],
        ["diff", "bad", "good"],
        ["diff", "good", "bad"],
        ["diff", f"bad/{TRANSCRIPTS}", "good"],
        ["bless", "bad", "kept"],
        ["bless", "bad", "kept", "--force"],
        ["bless", "good", "baseline"],
        ["merge", "s1", "s2", "--out", "whole"],
        ["merge", "s1", "s2", "--out", "whole", "--partial"],
        ["batch", prompts, RAW, "--baseline", "bad", "--out", "new"],
        ["batch", prompts, RAW, "--model", "replay:bad", "--out", "new"],
    ):
        done = run_mcprun(*command, cwd=tmp_path)
        assert (done.code, f"{TRANSCRIPTS} is damaged: " in done.stderr, done.stdout) == (2, True, ""), command
    assert not any((tmp_path / name).exists() for name in ("j.xml", "kept", "new"))
    with pytest.raises(UsageError, match="is damaged"):
        compare_runs(tmp_path / "good", tmp_path / "bad")
    resumed = run_mcprun("batch", "--resume", "bad", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (0, (tmp_path / "good" / TRANSCRIPTS).read_bytes())
    assert run_mcprun("diff", "good", "bad", cwd=tmp_path).code == 0


def test_baseline_cannot_be_resumed(run: Path) -> None:
    """Resuming a baseline exits with 2, and the message names the command that replaces it."""
    assert run_mcprun("bless", "run", "baseline", "--force", cwd=run.parent).code == 0
    done = run_mcprun("batch", "--resume", "baseline", cwd=run.parent)
    assert (done.code, done.stderr) == (
        2,
        "Error: baseline is a baseline, which can't be resumed; replace it with a new run:"
        " mcprun bless RUN baseline --force\n",
    )


@pytest.mark.parametrize("damage", [repeat_line, replace_line, stray_line])
def test_resume_repairs_repeated_and_missing_transcripts(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A resume drops repeated and foreign lines and runs the missing queries again."""
    prompts = write_jsonl(tmp_path / "p.jsonl", *(script(id=name) for name in "abc"))
    assert run_mcprun("batch", prompts, RAW, "--out", "run", cwd=tmp_path).code == 0
    good = (tmp_path / "run" / TRANSCRIPTS).read_bytes()
    damage(tmp_path / "run")
    resumed = run_mcprun("batch", "--resume", "run", cwd=tmp_path)
    assert (0, good) == (resumed.code, resumed.bytes)
    assert run_mcprun("show", "run", cwd=tmp_path).code == 0
