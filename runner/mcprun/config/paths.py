"""Relative paths of a project's file: they belong to the folder of the file, and are used from the working folder."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath
from typing import Any

from mcprun._util.command_line import path_exists
from mcprun._util.operating_system import relative_path
from mcprun.config.option_table import KINDS
from mcprun.option_kinds import Listed, Place, Text

_REPLAY = "replay:"

_STDIO = "-"
"""Stands for stdin or stdout."""


def seen_from(here: Path, place: Path, key: str, value: Any) -> Any:
    """Return the value of an option as seen from the folder `here`, when a file in the folder `place` sets it.

    All paths of a list are moved. What names no file stays as it is: an absolute path, a URL, a command line, a
    program to be searched for, `-`, `latest`.
    """
    kind = KINDS.get(key)
    kind = kind.item if isinstance(kind, Listed) else kind
    role = kind.place if isinstance(kind, Text) else None
    if place == here or role is None:
        return value
    if isinstance(value, list):
        return [_moved(here, place, role, item) for item in value]
    return _moved(here, place, role, value)


def _moved(here: Path, place: Path, role: Place, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return value
    if role == "model":
        run = value.removeprefix(_REPLAY)
        return value if run == value else _REPLAY + _moved(here, place, "run", run)
    # A Windows path with a drive may be on another one, which no relative path leads to.
    if value == _STDIO or Path(value).is_absolute() or PureWindowsPath(value).drive:
        return value
    file, mark, name = value.partition("#") if role == "server" else (value, "", "")
    return relative_path(place / file, here) + mark + name if _is_path(place, role, file) else value


def _is_path(place: Path, role: Place, value: str) -> bool:
    """Return whether a value that may name something else is a path in the folder `place`."""
    has_separator = "/" in value or os.sep in value
    match role:
        case "file":
            return True
        case "command":
            return has_separator
        case "run":
            return has_separator or path_exists(place / value)
        case _:
            is_one_word = not any(character in value for character in " :")
            return path_exists(place / value) or (is_one_word and (has_separator or Path(value).suffix != ""))
