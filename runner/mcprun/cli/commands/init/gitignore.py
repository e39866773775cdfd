"""Keep runs out of a repository: an entry for `outputs/` in `.gitignore`."""

from __future__ import annotations

from pathlib import Path

from mcprun._util.special_files import read_text

FILE = ".gitignore"

_ENTRY = "outputs/"
_EQUIVALENT = frozenset({"outputs", "outputs/", "outputs/*", "outputs/**", "**/outputs", "**/outputs/", "*"})
"""Entries that exclude the folder, without a leading slash."""


def ignore_outputs(folder: Path, root: Path) -> bool:
    """Add `outputs/` to the `.gitignore` of a folder, unless one from there up to `root` has it.

    Return whether it was added. Raises `OSError` if the file can't be written.
    """
    if any(_has_entry(place / FILE) for place in (folder, *folder.parents) if place.is_relative_to(root)):
        return False
    path = folder / FILE
    text = path.read_bytes() if path.exists() else b""
    newline = b"\r\n" if b"\r\n" in text else b"\n"
    separator = newline if text and not text.endswith(b"\n") else b""
    path.write_bytes(text + separator + _ENTRY.encode() + newline)
    return True


def _has_entry(path: Path) -> bool:
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.strip().removeprefix("/") in _EQUIVALENT for line in lines)
