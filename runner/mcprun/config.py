"""What a project and its environment set for every run: `mcprun.toml`, `[tool.mcprun]`, `MCPRUN_…`.

A value on the command line comes first, then the environment (and `.env`), then the file, then the default. Keys are
the flags' names: `call-timeout = 30`. Paths are seen from the folder of the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from mcprun.command_line import path_exists
from mcprun.errors import UsageError
from mcprun.operating_system import relative_path

FILE, PYPROJECT, TABLE = "mcprun.toml", "pyproject.toml", "mcprun"

_PATHS = frozenset({"prompts", "server", "cwd", "out", "baseline", "html", "junit", "markdown", "csv", "tap"})
"""Keys whose values name files; `model` does when it is a recording."""

_REPLAY = "replay:"


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says, by key (`call_timeout`); `path` is the file, if there is one."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def find_config(folder: Path | None = None) -> Config:
    """Find the nearest file that sets anything, in a folder (this one) or one above it, up to that of a repository.

    Its paths are given as seen from this folder. Raises `UsageError` for one that can't be read.
    """
    here = Path.cwd().resolve()
    start = (folder or here).resolve()
    for place in (start, *start.parents):
        for path, table in _tables(place):
            values = {key.replace("-", "_"): _from(place, here, key, value) for key, value in table.items()}
            return Config(path, values)
        if (place / ".git").exists():
            break
    return Config()


def environment() -> dict[str, str]:
    """Give the environment, and what `.env` in this folder or one above it sets besides.

    Raises `UsageError` for one that can't be read.
    """
    from dotenv import dotenv_values, find_dotenv

    file = find_dotenv(usecwd=True)
    try:
        found = dotenv_values(file) if file else {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {file}: {error}") from None
    return {name: value for name, value in {**found, **os.environ}.items() if value is not None}


def _tables(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for name in (FILE, PYPROJECT):
        path = place / name
        if not path.is_file():
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"can't read {path}: {error}") from None
        table = content if name == FILE else content.get("tool", {}).get(TABLE)
        if isinstance(table, dict):
            yield path, table


def _from(place: Path, here: Path, key: str, value: Any) -> Any:
    """Have a path that is seen from the file's folder seen from this one."""
    if place == here or not isinstance(value, str):
        return value
    if key == "model" and value.startswith(_REPLAY):
        return f"{_REPLAY}{_seen(place, here, value.removeprefix(_REPLAY))}"
    return _seen(place, here, value) if key in _PATHS else value


def _seen(place: Path, here: Path, value: str) -> str:
    """Move a path; what is none, or is not there and need not be (a command line, `latest`, `-`), stays as it is.

    So does a path on another drive of Windows, which no relative path leads to.
    """
    if PureWindowsPath(value).drive:
        return value
    file, mark, name = value.partition("#")
    is_new = not any(character in value for character in " :") and Path(file).suffix != ""
    if file == "-" or not (path_exists(place / file) or is_new):
        return value
    return relative_path(place / file, here) + mark + name
