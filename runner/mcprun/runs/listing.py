"""List the runs in a folder, and remove those that are no longer needed.

Only a finished, undamaged run that is not a baseline, and that no process writes, can be removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mcprun._util.json_value import JsonObject
from mcprun._util.operating_system import lock
from mcprun.errors import NotRunError, UsageError
from mcprun.runs.directory import FILES, LATEST, OUTPUTS, RUN, TRACE, TRANSCRIPTS, mark_latest
from mcprun.runs.run import Run
from mcprun.runs.run_record import Counts

_REMOVED = ".removed-"
"""Prefix of a folder whose removal has begun."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run in a folder. `run` is None if it is damaged, and `problem` then says why. `size` is in bytes."""

    path: Path
    run: Run | None
    problem: str
    size: int

    @property
    def started(self) -> str:
        """The time of the start, ISO 8601 in UTC; of a damaged run, the time of its last change."""
        if self.run:
            return self.run.record.started
        with suppress(OSError, ValueError, OverflowError):
            return f"{datetime.fromtimestamp(self.path.stat().st_mtime).astimezone().isoformat(timespec='seconds')}"
        return ""

    @property
    def moment(self) -> float:
        """The time of the start, in seconds since the epoch, to sort by; 0 if it is not a time."""
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromisoformat(self.started).timestamp()
        return 0.0

    @property
    def baseline(self) -> str | None:
        """The baseline that the run was compared with; None if with none."""
        if self.run is None:
            return None
        if record := self.run.record.baseline:
            return record.path
        name = self.run.record.arguments.get("baseline")  # older runs
        return name if isinstance(name, str) else None

    @property
    def regressions(self) -> int | None:
        """The number of regressions against the baseline; None if the run was not compared with one."""
        record = self.run.record.baseline if self.run else None
        return record.compared.regressions if record and record.compared else None

    @property
    def is_baseline(self) -> bool:
        """Whether the folder is a baseline that `mcprun bless` wrote."""
        return self.run is not None and self.run.is_baseline

    @property
    def state(self) -> str:
        """`finished`, `started`, `interrupted`, or `damaged`."""
        return self.run.record.state if self.run else "damaged"

    @property
    def counts(self) -> Counts:
        """The totals; of an unfinished run, those so far."""
        return self.run.counts if self.run else Counts()

    def line(self) -> JsonObject:
        """Return the run as a JSON object. Facts of a damaged run are null."""
        record, counts = (self.run.record, self.counts) if self.run else (None, None)
        server = record.server if record else None
        return {
            "name": self.path.name,
            "path": str(self.path),
            "state": self.state,
            "problem": self.problem or None,
            "started": self.started or None,
            "seconds": record.seconds if record else None,
            "prompts": record.prompts.file if record else None,
            "shard": record.prompts.shard if record else None,
            "server": record.arguments.get("server") if record else None,
            "server_name": server.name if server else None,
            "model": record.model.name if record else None,
            "verdicts": {name: getattr(counts, name) for name in ("passed", "failed", "error", "skipped")}
            if counts
            else None,
            "exit_code": int(record.exit_code) if record else None,
            "baseline": self.baseline,
            "regressions": self.regressions,
            "is_baseline": self.is_baseline,
            "bytes": self.size,
        }


def list_runs(folder: Path) -> list[ListedRun]:
    """Return the runs in a folder, newest first. Links, such as `latest`, and folders that are not runs are left out.

    Raises `UsageError` if the folder can't be read. A folder that doesn't exist has no runs.
    """
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"can't read {folder}: {error.strerror}") from None
    found = filter(None, (_read(entry) for entry in entries if _may_be_run(entry)))
    return sorted(found, key=lambda one: (one.moment, one.path.name), reverse=True)


def _may_be_run(path: Path) -> bool:
    """Return whether an entry is a folder with a `run.json`, and not a link to one."""
    try:
        is_folder = path.is_dir() and not path.is_symlink()
        return is_folder and not path.name.startswith(_REMOVED) and os.path.lexists(path / RUN)
    except OSError:
        return False


def _read(path: Path) -> ListedRun | None:
    """Read a run. Return None if its `run.json` is another program's."""
    size = sum(_size(path / name) for name in FILES)
    try:
        run = Run.read_record(str(path))
        if run.record.counts is None and run.record.state != "started":
            raise UsageError(f"{path / RUN} is damaged: the run has ended, but has no counts")
        if run.record.state != "started" and not (path / TRANSCRIPTS).exists():
            raise UsageError(f"{path} has no {TRANSCRIPTS}")
        _ = run.counts  # those of an unfinished run are read from its transcripts
    except NotRunError:
        return None
    except UsageError as error:
        return ListedRun(path, None, str(error), size)
    return ListedRun(path, run, "", size)


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_size
    return 0


@dataclass(frozen=True, slots=True)
class Removal:
    """The runs to remove, and the older runs that are kept in spite of their age, each with the reason."""

    runs: Sequence[ListedRun]
    kept: Sequence[tuple[ListedRun, str]]

    @property
    def size(self) -> int:
        """The size of the runs to remove, in bytes."""
        return sum(one.size for one in self.runs)


def plan_removal(runs: Sequence[ListedRun], keep: int, baselines: Collection[Path] = ()) -> Removal:
    """Return which of these runs to remove so that only the `keep` newest are left. Nothing is removed yet.

    Baselines do not count as runs to keep. `baselines` are resolved paths of runs that are used as baselines. A
    baseline of a run that is kept is kept as well.
    """
    history = [one for one in runs if not one.is_baseline]
    used = {*baselines, *(_resolved(one.baseline) for one in history[:keep] if one.baseline)}
    removed: list[ListedRun] = []
    kept: list[tuple[ListedRun, str]] = []
    for one in history[keep:]:
        reason = why_kept(one, used)
        kept += [(one, reason)] if reason else []
        removed += [] if reason else [one]
    return Removal(removed, kept)


def why_kept(one: ListedRun, baselines: Collection[Path] = ()) -> str:
    """Return why a run must not be removed; empty if it can be."""
    if one.run is None:
        return f"damaged: {one.problem}"
    if one.is_baseline or one.path.resolve() in baselines:
        return "it is a baseline"
    if _is_locked(one.path):
        return "another mcprun process is writing it"
    if one.state != "finished":
        return f"it is unfinished; continue it with: mcprun batch --resume {one.path}"
    if others := _other_files(one.path):
        return f"it also contains {others[0]}" + (f" and {len(others) - 1:,} more" if len(others) > 1 else "")
    return ""


def _other_files(path: Path) -> list[str]:
    """Return the names of files that are not those of a run, quoted if they are not printable."""
    names = sorted(file.name for file in path.iterdir() if file.name.removesuffix(".new") not in FILES or file.is_dir())
    return [name if name.isprintable() else ascii(name) for name in names]


def remove(one: ListedRun) -> str:
    """Remove a run, and return why it could not be removed; empty if it was.

    Its folder is renamed first, so that a killed removal leaves no damaged run. A run that another process has begun to
    write since `plan_removal` is kept.
    """
    aside = one.path.with_name(f"{_REMOVED}{one.path.name}")
    try:
        with _locked(one.path):
            if others := _other_files(one.path):
                return f"it also contains {others[0]}"
            _delete(aside)
            one.path.rename(aside)
        _delete(aside)
    except BlockingIOError:
        return "another mcprun process is writing it"
    except OSError as error:
        return f"it can't be removed: {error.strerror or error}"
    return ""


def finish_removals(folder: Path) -> None:
    """Delete what killed removals have left in a folder. Errors are ignored."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.name.startswith(_REMOVED) and entry.is_dir() and not entry.is_symlink():
                _delete(entry)


def repair_latest() -> None:
    """Point `outputs/latest` at the newest run that is left if the run it names was removed."""
    latest = OUTPUTS / LATEST
    if not os.path.lexists(latest):
        return
    with suppress(UsageError):
        Run.read_record(str(latest))
        return
    left = [one.path for one in list_runs(OUTPUTS) if one.run and not one.is_baseline]
    mark_latest(left[0] if left else None)


def _delete(path: Path) -> None:
    """Delete a folder if it holds nothing but the files of a run. Raises `OSError` for any other."""
    if path.exists() and not _other_files(path):
        shutil.rmtree(path)


def _is_locked(path: Path) -> bool:
    try:
        with _locked(path):
            return False
    except BlockingIOError:
        return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a run. Raises `BlockingIOError` if another process holds it. Without a trace there is none."""
    try:
        descriptor = os.open(path / TRACE, os.O_RDWR)
    except OSError:
        yield
        return
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a file. Raises `BlockingIOError` if it is locked; file systems without locks are ignored."""
    try:
        lock(descriptor)
    except BlockingIOError:
        raise
    except OSError:
        return


def _resolved(name: str) -> Path:
    path = Path(name)
    return (path if path.is_dir() else OUTPUTS / name).resolve()
