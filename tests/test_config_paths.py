"""Paths of the project's file belong to its folder: for every option that names a file, in lists too."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from mcprun.config.option_table import KINDS
from mcprun.config.project import find_config
from mcprun.option_kinds import Listed, Text
from tests.support.cli import RAW, run_mcprun, script, write_jsonl

PATHS = {
    key: place
    for key, kind in KINDS.items()
    if isinstance(text := kind.item if isinstance(kind, Listed) else kind, Text) and (place := text.refers_to)
}
"""What each option names that may be a path."""


@pytest.fixture
def within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in a project, in which the tests work."""
    folder = tmp_path / "within"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def moved(key: str, value: Any) -> Any:
    """Set an option in the file of the folder above, and read it from here."""
    Path("..", "mcprun.toml").write_text(f"{key.replace('_', '-')} = {json.dumps(value)}\n")
    return find_config().values[key]


def test_every_option_that_names_a_file_is_known() -> None:
    """Files and folders, and what may be one."""
    files = (
        "csv",
        "cwd",
        "env_file",
        "html",
        "junit",
        "markdown",
        "oauth_private_key",
        "out",
        "prompts",
        "root",
        "tap",
    )
    assert {key for key, place in PATHS.items() if place == "file"} == {*files}
    assert {key: place for key, place in PATHS.items() if place != "file"} == {
        "baseline": "run",
        "model": "model",
        "python": "command",
        "server": "server",
    }


@pytest.mark.parametrize("key", sorted(PATHS))
def test_a_path_is_seen_from_the_file(within: Path, key: str) -> None:
    """Whether it is there or not, with a suffix or without, beside the file, below it or above it."""
    start = "replay:" if key == "model" else ""
    for path in ("data/x", "./data/x.y", "../x/y"):
        expected = start + str(Path("..", path))
        assert moved(key, start + path) == expected
        assert moved(key, [start + path, start + path]) == [expected, expected]
    absolute = start + str(within / "x")
    assert moved(key, absolute) == absolute
    for other in (3, True, [3], ""):
        assert moved(key, other) == other


def test_what_names_no_file_stays(within: Path) -> None:
    """Programs to be searched for, URLs, command lines, runs by their names, stdin, and other Windows drives."""
    for key, value in {
        "python": "python3",
        "server": "http://h/mcp",
        "baseline": "latest",
        "model": "claude-x",
        "prompts": "-",
        "html": "-",
        "out": "C:\\runs",
        "judge_model": "none",
        "server_args": ["data/x"],
        "system": "a/b",
        "shard": "1/2",
    }.items():
        assert moved(key, value) == value
    assert moved("server", "npx -y some/server") == "npx -y some/server"
    assert moved("model", "replay:latest") == "replay:latest"
    assert moved("html", "r") == "../r"


def test_a_name_that_may_be_a_path_is_one_if_it_is_there(within: Path) -> None:
    """A run beside the file, a server with spaces in its name, an entry of a client's configuration."""
    for name in ("base", "a server", "latest"):
        Path("..", name).mkdir()
    assert moved("baseline", "base") == "../base"
    assert moved("model", "replay:base") == "replay:../base"
    assert moved("model", "base") == "base"
    assert moved("server", "a server") == "../a server"
    assert moved("server", "mcp.json#x/y") == "../mcp.json#x/y"


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
