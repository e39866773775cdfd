"""A run uses the paths of the project's file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.cli import RAW, run_mcprun, script, write_jsonl


@pytest.fixture
def within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a project, in which the tests work."""
    folder = tmp_path / "within"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_run_uses_them(tmp_path: Path) -> None:
    """`mcprun batch` from a folder within finds what the file names, and says so."""
    write_jsonl(tmp_path / "p.jsonl", script(("ok", {})))
    (tmp_path / "within").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "raw.py").symlink_to(RAW)
    (tmp_path / "a.env").write_text("A=one")
    (tmp_path / "b.env").write_text("B=two")
    lines = ['prompts = "*.jsonl"', 'server = "raw.py"', 'env-file = ["a.env", "b.env"]', 'root = "root"', 'out = "run"', 'html = "r.html"']  # fmt: skip
    (tmp_path / "mcprun.toml").write_text("\n".join(lines))
    done = run_mcprun("batch", cwd=tmp_path / "within")
    assert done.code == 0, done.stderr
    assert {file.name for file in tmp_path.iterdir()} >= {"run", "r.html"}
    assert [file.name for file in (tmp_path / "within").iterdir()] == ["outputs"]  # the link `latest`
    shown = run_mcprun("batch", "--python", "../bin/python", "--show-config", cwd=tmp_path / "within").stdout
    assert '["../a.env", "../b.env"]' in shown
    (tmp_path / "mcprun.toml").write_text("\n".join([*lines[:2], 'python = "bin/nope"']))
    wrong = run_mcprun("batch", cwd=tmp_path / "within")
    assert (wrong.code, wrong.stderr) == (2, "Error: --python: not found: ../bin/nope\n")
