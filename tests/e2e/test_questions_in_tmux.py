"""Commands that ask on a terminal, driven by keys in tmux."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.cli import RAW, clean_environment, run_mcprun, script, write_jsonl
from tests.support.tmux import missing, screen

pytestmark = pytest.mark.skipif(missing(), reason="needs tmux")

MCPRUN = (sys.executable, "-m", "mcprun")


@pytest.mark.parametrize(("answer", "left", "code"), [("n", ["one", "three", "two"], 1), ("y", ["three"], 0)])
def test_runs_are_removed_only_if_the_answer_is_yes(tmp_path: Path, answer: str, left: list[str], code: int) -> None:
    """`mcprun runs --keep` lists what it would remove, and asks."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    for name in ("one", "two", "three"):
        assert run_mcprun("batch", "p.jsonl", RAW, "--out", f"outputs/{name}", cwd=tmp_path).code == 0
    with screen(tmp_path, *MCPRUN, "runs", "--keep", "1", env=clean_environment()) as window:
        text = window.shows("Remove 2 runs (")
        assert all(f"  outputs/{name}  20" in text for name in ("one", "two"))
        window.type(answer)
        window.press("Enter")
        window.shows(f"exit code {code}")
    outputs = tmp_path / "outputs"
    assert sorted(entry.name for entry in outputs.iterdir() if entry.name != "latest") == left
