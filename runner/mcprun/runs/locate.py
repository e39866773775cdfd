"""Find run directories by the names that users give them, and say what to do if there is none."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mcprun._util.command_line import path_exists
from mcprun._util.operating_system import relative_path
from mcprun._util.similar_names import similar_name
from mcprun._util.special_files import kind_of
from mcprun.errors import NotRunError, UsageError
from mcprun.runs.directory import FILES, LATEST, OUTPUTS, RUN
from mcprun.runs.identify import identify

_MAX_ENTRIES = 10_000
"""Maximum number of entries of a folder among which similar names are searched."""

_LIST = "list the runs with mcprun runs, or make one with mcprun batch"


def is_run(name: str) -> bool:
    """Return whether `name` is a run's folder, or its name under `outputs/`."""
    return any(path_exists(path / RUN) for path in (Path(name), OUTPUTS / name))


def find_run(name: str, *, noun: str = "run", advice: str = "") -> Path:
    """Return the directory of a run: `name` itself, or below `outputs/`, or the run that `latest` points to.

    Raises `UsageError` if there is none, which names a run with a similar name. `noun` names what was expected.
    `advice` is the next step, in place of a list of the runs.
    """
    for path in (Path(name), OUTPUTS / name):
        if path.is_dir():
            return _resolved(path)
        if path.name == LATEST and path.parent.name == OUTPUTS.name and path.is_file():  # see `mark_latest`
            return path.parent / path.read_text(encoding="utf-8").strip()
    if name == LATEST:
        raise UsageError(f"there is no run in {OUTPUTS}/ yet: create one with mcprun batch")
    with suppress(OSError):
        if kind := kind_of(Path(name).stat().st_mode):
            raise UsageError(f"{name} is {kind}, not a {noun}")
    if (file := Path(name)).is_file():
        if file.name in FILES and (file.parent / RUN).exists():
            raise UsageError(f"{name} is a file of a run: pass the run, {file.parent}")
        raise UsageError(f"{name} is {identify(file)}, not a {noun}, which is a folder")
    similar = similar_name(name, _names())
    hint = advice or _LIST
    if similar:
        hint = f"did you mean {similar}?" + (f" Otherwise, {advice}" if advice else "")
    raise UsageError(f"there is no {noun} at {name} or {OUTPUTS / name}; {hint}")


def missing_record(path: Path) -> UsageError:
    """Return the error for a folder without `run.json`, which names a run in the folder if there is one."""
    message = f"{path} is not a run: it has no {RUN}"
    if not (inner := _run_names(path)):
        return NotRunError(message)
    return NotRunError(f"{message}, but it contains runs; did you mean {path / max(inner)}?")


def _names() -> list[str]:
    """Return the names of the runs in `outputs/` and in this folder, and `latest` if there is one."""
    latest = [LATEST] if path_exists(OUTPUTS / LATEST) else []
    return [*latest, *_run_names(OUTPUTS), *_run_names(Path())]


def _run_names(folder: Path) -> list[str]:
    """Return the names of the runs in a folder; empty if it can't be read."""
    try:
        entries = [entry for entry, _ in zip(folder.iterdir(), range(_MAX_ENTRIES), strict=False)]
    except OSError:
        return []
    return [entry.name for entry in entries if entry.name != LATEST and (entry / RUN).is_file()]


def _resolved(path: Path) -> Path:
    """Resolve a link such as `latest` to a path relative to the working directory."""
    if not path.is_symlink():
        return path
    return Path(relative_path(path.resolve()))
