"""Find the prompts files that match a pattern such as `tests/**/*.jsonl`, for `mcprun batch` and for pytest.

`*` and `?` match within one name, `**` any number of directories. As in a shell, none of them matches a name that
begins with a dot, such as `.venv`. Files in runs and in `outputs/` are left out.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from pathlib import Path

_OUTPUTS, _RUN, _TRACE = "outputs", "run.json", "trace.jsonl"
"""The directory of runs, and the files that identify a run."""


def files_of(name: str) -> list[str]:
    """Return the files for a name: the name itself, or all files that match it as a pattern, sorted."""
    if not glob.has_magic(name) or Path(name).exists():
        return [name]
    cwd = Path.cwd()
    pattern = _absolute(name, cwd)
    fixed = _fixed(pattern)
    has_hidden = any(map(_is_hidden, pattern.relative_to(fixed).parts))
    found = [file for file in _walk(fixed, _depth(name), has_hidden=has_hidden) if fits(file, name, cwd)]
    return sorted(str(file) if Path(name).is_absolute() else os.path.relpath(file, cwd) for file in found)


def fits(file: Path, pattern: str, root: Path) -> bool:
    """Return whether a file matches a pattern, relative to the directory `root`, and is not the output of a run."""
    absolute = _absolute(pattern, root)
    is_meant = file == absolute or _matches(file.parts, absolute.parts)
    return is_meant and not _is_output(file, root, _fixed(absolute))


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Match a path against a pattern, part by part, tracking all positions at which each part may end."""
    ends = {0}
    for one in pattern:
        if one == "**":
            for end in range(min(ends), len(parts)):
                if end in ends and not _is_hidden(parts[end]):
                    ends.add(end + 1)
        else:
            ends = {end + 1 for end in ends if end < len(parts) and _matches_name(parts[end], one)}
        if not ends:
            return False
    return len(parts) in ends


def _matches_name(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) and (_is_hidden(pattern) or not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_output(file: Path, root: Path, fixed: Path) -> bool:
    """Return whether a file is in a run or below `outputs/`, relative to `root`, else to the pattern's directory."""
    top = root if file.is_relative_to(root) else fixed
    folders = file.relative_to(top).parts[:-1]
    if _OUTPUTS in folders or _is_run(top, is_top=True):
        return True
    return any(_is_run(top.joinpath(*folders[: end + 1])) for end in range(len(folders)))


def _is_run(folder: Path, *, is_top: bool = False) -> bool:
    """Return whether a directory is a run. At the top, `run.json` is not enough: a project may have its own."""
    return (folder / _RUN).is_file() and (not is_top or (folder / _TRACE).is_file())


def _absolute(pattern: str, root: Path) -> Path:
    return Path(os.path.normpath(root / pattern))


def _fixed(pattern: Path) -> Path:
    """Return the directory that contains all files of a pattern."""
    while glob.has_magic(str(pattern)):
        pattern = pattern.parent
    return pattern


def _depth(pattern: str) -> int | None:
    """Return the number of levels that a pattern can descend, `None` if unlimited."""
    parts = Path(pattern).parts
    return None if "**" in parts else len(parts)


def _walk(folder: Path, depth: int | None, *, has_hidden: bool) -> Iterator[Path]:
    """Yield the files in and below a directory. Links to directories are followed if the depth is limited."""
    for place, folders, files in os.walk(folder, followlinks=depth is not None):
        if depth is not None and len(Path(place).relative_to(folder).parts) >= depth:
            folders.clear()
        folders[:] = [name for name in folders if name != _OUTPUTS and (has_hidden or not _is_hidden(name))]
        yield from (Path(place, name) for name in files)
