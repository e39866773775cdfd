"""Paths in the project's configuration file."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.cli import RAW, run_mcprun, script, write_jsonl


def test_batch_resolves_paths_relative_to_the_configuration_file(tmp_path: Path) -> None:
    """In a folder within the project, `mcprun batch` finds the files that the configuration names.

    `--show-config` and messages give them relative to the working directory.
    """
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
