"""Paths in the project file are relative to its folder, for every option that names a file."""

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
"""The kind of path that each option may name."""


@pytest.fixture
def subfolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a subfolder of the project, and make it the working folder."""
    folder = tmp_path / "within"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def resolve_from_subfolder(key: str, value: Any) -> Any:
    """Set an option in the parent folder's project file, and return its value as read from the subfolder."""
    Path("..", "mcprun.toml").write_text(f"{key.replace('_', '-')} = {json.dumps(value)}\n")
    return find_config().values[key]


def test_the_options_that_name_a_file_are_listed() -> None:
    """Options that name a file or folder, or may name one, are exactly those listed here."""
    files = (
        "csv",
        "cwd",
        "decoys",
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
def test_a_relative_path_is_resolved_against_the_file(subfolder: Path, key: str) -> None:
    """A relative path is resolved against the folder of the project file, even if nothing exists there."""
    start = "replay:" if key == "model" else ""
    for path in ("data/x", "./data/x.y", "../x/y"):
        expected = start + str(Path("..", path))
        assert resolve_from_subfolder(key, start + path) == expected
        assert resolve_from_subfolder(key, [start + path, start + path]) == [expected, expected]
    absolute = start + str(subfolder / "x")
    assert resolve_from_subfolder(key, absolute) == absolute
    for unchanged in (3, True, [3], ""):
        assert resolve_from_subfolder(key, unchanged) == unchanged


def test_values_that_are_not_paths_are_unchanged(subfolder: Path) -> None:
    """Program names, URLs, command lines, run names, stdin and paths on another Windows drive are unchanged."""
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
        assert resolve_from_subfolder(key, value) == value
    assert resolve_from_subfolder("server", "npx -y some/server") == "npx -y some/server"
    assert resolve_from_subfolder("model", "replay:latest") == "replay:latest"
    assert resolve_from_subfolder("html", "r") == "../r"


def test_an_ambiguous_name_is_a_path_if_it_exists(subfolder: Path) -> None:
    """A run name, or a server name with spaces, is a path if the file exists.

    The file of a client configuration entry always is.
    """
    for name in ("base", "a server", "latest"):
        Path("..", name).mkdir()
    assert resolve_from_subfolder("baseline", "base") == "../base"
    assert resolve_from_subfolder("model", "replay:base") == "replay:../base"
    assert resolve_from_subfolder("model", "base") == "base"
    assert resolve_from_subfolder("server", "a server") == "../a server"
    assert resolve_from_subfolder("server", "mcp.json#x/y") == "../mcp.json#x/y"
