"""Find the prompts files of a pattern such as `tests/**/*.jsonl`, for `mcprun batch` and for pytest.

`*` and `?` match within one name, `**` any number of folders. As in a shell, none of them matches a name that begins
with a dot, such as `.venv`. Files of runs and of `outputs/` are left out.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from pathlib import Path

_OUTPUTS, _RUN, _TRACE = "outputs", "run.json", "trace.jsonl"
"""The folder of runs, and the files that identify a run."""


def files_of(name: str) -> list[str]:
    """Return the files that a name stands for: itself, or all that fit the pattern, sorted."""
    if not glob.has_magic(name) or Path(name).exists():
        return [name]
    here = Path.cwd()
    pattern = _absolute(name, here)
    fixed = _fixed(pattern)
    has_hidden = any(map(_is_hidden, pattern.relative_to(fixed).parts))
    found = [file for file in _walk(fixed, _depth(name), has_hidden=has_hidden) if fits(file, name, here)]
    return sorted(str(file) if Path(name).is_absolute() else os.path.relpath(file, here) for file in found)


def fits(file: Path, pattern: str, root: Path) -> bool:
    """Return whether a file fits a pattern, which is seen from the folder `root`, and is not the output of a run."""
    absolute = _absolute(pattern, root)
    is_meant = file == absolute or _matches(file.parts, absolute.parts)
    return is_meant and not _is_output(file, root, _fixed(absolute))


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Match a path with a pattern, part by part: all places that each part of the pattern may end at."""
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
    """Return whether a file lies in a run, or below `outputs/`, seen from `root` or else the pattern's folder."""
    top = root if file.is_relative_to(root) else fixed
    folders = file.relative_to(top).parts[:-1]
    if _OUTPUTS in folders or _is_run(top, is_top=True):
        return True
    return any(_is_run(top.joinpath(*folders[: end + 1])) for end in range(len(folders)))


def _is_run(folder: Path, *, is_top: bool = False) -> bool:
    """Return whether a folder is a run; a project may have a `run.json` of its own."""
    return (folder / _RUN).is_file() and (not is_top or (folder / _TRACE).is_file())


def _absolute(pattern: str, root: Path) -> Path:
    return Path(os.path.normpath(root / pattern))


def _fixed(pattern: Path) -> Path:
    """Return the folder that all files of a pattern lie in."""
    while glob.has_magic(str(pattern)):
        pattern = pattern.parent
    return pattern


def _depth(pattern: str) -> int | None:
    """Count the folders that a pattern may go down, `None` where there is no limit."""
    parts = Path(pattern).parts
    return None if "**" in parts else len(parts)


def _walk(folder: Path, depth: int | None, *, has_hidden: bool) -> Iterator[Path]:
    """Yield the files of a folder and those below it. Links to folders are followed if the depth has a limit."""
    for place, folders, files in os.walk(folder, followlinks=depth is not None):
        if depth is not None and len(Path(place).relative_to(folder).parts) >= depth:
            folders.clear()
        folders[:] = [name for name in folders if name != _OUTPUTS and (has_hidden or not _is_hidden(name))]
        yield from (Path(place, name) for name in files)
