"""Scratch folders: a new working folder for each server, where it finds no files of earlier runs, and leaves none.

A new folder has a file of each of the formats that servers commonly read, and `example/`, a Git repository with one
commit and a file that is not committed. They are the same in each folder, so results can be compared.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from mcprun.client.target import StdioTarget

_REPOSITORY, _COMMITTED, _NEW = "example", "README.md", "example.txt"
"""The folder that is a Git repository, the file of its commit, and one that can be added."""

_GIT_SECONDS = 10.0
_COMMANDS = (
    ("init", "--quiet", "--initial-branch=main", "--template="),
    ("config", "user.name", "Example"),
    ("config", "user.email", "user@example.com"),
    ("add", _COMMITTED),
    ("commit", "--quiet", "--message=Add a file"),
)
_GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_DATE": "2026-01-15T12:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-15T12:00:00Z",
}
"""What makes the commit the same everywhere."""


@contextmanager
def scratch_folder(target: StdioTarget) -> Iterator[StdioTarget]:
    """Yield the target to start: in a new folder with `samples`, deleted on exit, if it asks for one."""
    if not target.scratch:
        yield target
        return
    with tempfile.TemporaryDirectory(prefix="mcprun-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        for path, content in samples().items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        yield replace(target, cwd=str(folder))


@cache
def samples() -> Mapping[str, bytes]:
    """Return the files of a new scratch folder by their relative paths, so that tools that read files find some."""
    found = {item.name: item.read_bytes() for item in files(__package__).joinpath("samples").iterdir()}
    repository = {_COMMITTED: found[_COMMITTED], _NEW: found[_NEW]} | _commit(found[_COMMITTED])
    return found | {f"{_REPOSITORY}/{path}": content for path, content in repository.items()}


def _commit(content: bytes) -> dict[str, bytes]:
    """Return the files of a Git repository with a commit of one file; none if there is no Git."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _GIT_ENVIRONMENT
    with tempfile.TemporaryDirectory(prefix="mcprun-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / _COMMITTED).write_bytes(content)
        try:
            for command in _COMMANDS:
                subprocess.run(  # noqa: S603
                    ["git", *command], cwd=folder, env=env,  # noqa: S607  the one that servers find
                    check=True, timeout=_GIT_SECONDS, stdin=subprocess.DEVNULL, capture_output=True,
                )  # fmt: skip
        except (OSError, subprocess.SubprocessError):  # not installed, or older than 2.28
            return {}
        paths = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
