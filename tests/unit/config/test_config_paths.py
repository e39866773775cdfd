"""Paths in the project's file are relative to its folder, for every option that names a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcprun.config.option_table import KINDS
from mcprun.config.project import find_config
from mcprun.option_kinds import Listed, Text

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
