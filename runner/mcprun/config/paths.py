"""Convert relative paths of a project's file: from the folder of the file to the working folder."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath
from typing import Any

from mcprun._util.command_line import path_exists
from mcprun._util.operating_system import relative_path
from mcprun.config.option_table import KINDS
from mcprun.option_kinds import Listed, Referent, Text

_REPLAY = "replay:"

_STDIO = "-"
"""The value that means stdin or stdout."""


def relocate_paths(here: Path, folder: Path, key: str, value: Any) -> Any:
    """Return the value of an option that a file in the folder `folder` sets, with paths relative to the folder `here`.

    All paths of a list are converted. Values that are not relative paths are unchanged: an absolute path, a URL, a
    command line, a program to search for, `-`, `latest`.
    """
    kind = KINDS.get(key)
    kind = kind.item if isinstance(kind, Listed) else kind
    role = kind.refers_to if isinstance(kind, Text) else None
    if folder == here or role is None:
        return value
    if isinstance(value, list):
        return [_relocated(here, folder, role, item) for item in value]
    return _relocated(here, folder, role, value)


def _relocated(here: Path, folder: Path, role: Referent, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return value
    if role == "model":
        run = value.removeprefix(_REPLAY)
        return value if run == value else _REPLAY + _relocated(here, folder, "run", run)
    # A Windows path with a drive may be on another drive, which no relative path can reach.
    if value == _STDIO or Path(value).is_absolute() or PureWindowsPath(value).drive:
        return value
    file, mark, name = value.partition("#") if role == "server" else (value, "", "")
    return relative_path(folder / file, here) + mark + name if _is_path(folder, role, file) else value


def _is_path(folder: Path, role: Referent, value: str) -> bool:
    """Return whether a value is a path relative to `folder`, rather than a run, program, URL or command line."""
    has_separator = "/" in value or os.sep in value
    match role:
        case "file":
            return True
        case "command":
            return has_separator
        case "run":
            return has_separator or path_exists(folder / value)
        case _:
            is_one_word = not any(character in value for character in " :")
            return path_exists(folder / value) or (is_one_word and (has_separator or Path(value).suffix != ""))
