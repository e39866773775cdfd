"""Read the settings of a project and its environment: `mcprun.toml`, `[tool.mcprun]`, `MCPRUN_…`.

Precedence, highest first: flag, environment, `.env`, file, default. Keys are the flags' names: `call-timeout = 30`.
Paths are relative to the folder of the file.
"""

from __future__ import annotations

import io
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcprun._util.similar_names import similar_name
from mcprun._util.special_files import read_text, refuse_special
from mcprun.config.paths import relocate_paths
from mcprun.errors import UsageError

FILE, PYPROJECT, TABLE = "mcprun.toml", "pyproject.toml", "mcprun"

PREFIX = "MCPRUN_"
"""The prefix of each option's variable."""

TOKEN_STORE = "MCPRUN_TOKEN_STORE"  # noqa: S105  a variable's name
"""The only variable with that prefix that is not an option: `client/auth/token_store.py` reads it."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of a file by key (`call_timeout`). `path` is None if there is no file."""

    path: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a project or its environment sets. `source` is the name of the variable, or the path of the file.

    The value of a variable is text, that of a file has any TOML type.
    """

    value: Any
    source: str
    is_variable: bool


def setting(key: str, variables: Mapping[str, str], files: Iterable[Config]) -> Setting | None:
    """Return the setting of an option that is not on the command line: its variable, else the first file with its key.

    An empty or blank variable counts as not set. None if only the default is left.
    """
    variable = variable_of(key)
    if text := variables.get(variable, "").strip():
        return Setting(text, variable, is_variable=True)
    for file in files:
        if key in file.values:
            return Setting(file.values[key], str(file.path), is_variable=False)
    return None


def check_names(names: Iterable[str], variables: Mapping[str, str], files: Iterable[Config]) -> None:
    """Raise `UsageError` for the first key of a file, or `MCPRUN_` variable, that is not one of the `names` keys."""
    keys = [*names]
    for file in files:
        for key in file.values:
            if key not in keys:
                raise UsageError(
                    f"{file.path} sets the unknown option {file_spelling(key)!r}{_hint(key, keys, file_spelling)}"
                )
    keys.append(_key(TOKEN_STORE))
    for name, value in variables.items():
        if name.startswith(PREFIX) and value.strip() and _key(name) not in keys:
            raise UsageError(f"the environment sets the unknown option {name!r}{_hint(_key(name), keys, variable_of)}")


def variable_of(key: str) -> str:
    """Return the name of an option's variable: `MCPRUN_CALL_TIMEOUT`."""
    return f"{PREFIX}{key.upper()}"


def file_spelling(key: str) -> str:
    """Return a key as it is written in a file: `call-timeout`."""
    return key.replace("_", "-")


def find_config(folder: Path | None = None) -> Config:
    """Find the nearest file with settings, from `folder` (default: the working folder) up to a repository's root.

    Its paths become relative to the working folder. Raises `UsageError` for a file that can't be read.
    """
    here = Path.cwd().resolve()
    start = (folder or here).resolve()
    for place in (start, *start.parents):
        for path, table in _tables(place):
            keys = {key.replace("-", "_"): value for key, value in table.items()}
            return Config(path, {key: relocate_paths(here, place, key, value) for key, value in keys.items()})
        if (place / ".git").exists():
            break
    return Config()


def environment() -> dict[str, str]:
    """Return the environment, with the additional variables of `.env` in the working folder or above.

    An `MCPRUN_` variable that is blank in the environment counts as not set, so that `.env` may set it.
    Raises `UsageError` for a `.env` that can't be read.
    """
    from dotenv import dotenv_values, find_dotenv

    file = find_dotenv(usecwd=True)
    try:
        dotenv = dotenv_values(stream=io.StringIO(read_text(Path(file)), newline=None)) if file else {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't read {file}: {error}") from None
    environ = {name: value for name, value in os.environ.items() if value.strip() or not name.startswith(PREFIX)}
    return {name: value for name, value in {**dotenv, **environ}.items() if value is not None}


def _tables(place: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for name in (FILE, PYPROJECT):
        path = place / name
        if name == FILE:
            refuse_special(path)
        if not path.is_file():
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"can't read {path}: {error}") from None
        table = content if name == FILE else content.get("tool", {}).get(TABLE)
        if isinstance(table, dict):
            yield path, table


def _key(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower()


def _hint(key: str, keys: Iterable[str], form: Callable[[str], str]) -> str:
    """Return the end of a message that suggests the key most similar to an unknown one; empty if none is."""
    close = similar_name(key, keys)
    return f"; did you mean {form(close)!r}?" if close else ""
