"""Choose the Python that starts a server's `.py` file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

_VENV = ".venv"
"""The folder of a project's virtual environment, as uv, Poetry, PDM and Hatch create it."""

_REPOSITORY = (".git", ".hg")
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt")


def python_for(file: Path) -> str:
    """Return the Python for a server's file.

    It is that of the active virtual environment (`VIRTUAL_ENV`), else that of the nearest `.venv` in the file's folder
    or above it within its project, else the one that runs mcprun.
    """
    active = os.environ.get("VIRTUAL_ENV")
    environments = [Path(active)] if active else (folder / _VENV for folder in _folders(file.absolute().parent))
    return next((python for one in environments if (python := _python_of(one))), sys.executable)


def _python_of(environment: Path) -> str:
    """Return the absolute path of the Python of a virtual environment; empty if it has none."""
    for python in (environment / "bin" / "python", environment / "Scripts" / "python.exe"):
        if os.access(python, os.X_OK):
            return str(python.absolute())
    return ""


def _folders(start: Path) -> Iterator[Path]:
    """Yield a folder and those above it, up to the root of its repository, else of its project, else itself alone."""
    folders = [start, *start.parents]
    for marks in (_REPOSITORY, _PROJECT):
        for count, folder in enumerate(folders, 1):
            if any((folder / mark).exists() for mark in marks):
                yield from folders[:count]
                return
    yield start
