"""Write baselines: accepted runs to compare later runs with, small enough to commit."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from mcprun._util.json_io import dump_indented, dumps, write_file
from mcprun.errors import UsageError
from mcprun.runs.conditions import kept_arguments, kept_limits
from mcprun.runs.directory import RUN, TRANSCRIPTS
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord
from mcprun.runs.transcript import Transcript

_LISTED = 5
"""Maximum lost queries that a message names."""

_NAME = 100
"""Maximum characters of a query's id in a message."""


def read_baseline(name: str) -> Run:
    """Open a baseline. Raises `UsageError` if there is none, which says how to make one, or if it is damaged."""
    make = f"make one from a run with mcprun bless latest {shlex.quote(name)}, or from this one with --update"
    return Run.read(name, noun="baseline", advice=make)


def bless(run: Run, path: Path, *, slim: bool, force: bool) -> int:
    """Write a run as the baseline at `path`, replacing any baseline there. Return its size in bytes.

    A baseline holds the transcripts and `run.json`. A `slim` one holds only the data that comparisons need, and can't
    be replayed. If `path` is a link, its target is replaced.

    Raises `UsageError` if `path` is the run itself, holds anything but a run, or can't be written. Without `force`,
    also raises it if the run is incomplete, has errors or lacks queries of the old baseline, or if that is damaged.
    """
    place = Path(os.path.realpath(path))
    old = place.with_name(f".{place.name}.old")
    try:
        _restore_old(place, old)
        _check(run, path, force=force)
        _replace(run, place, old, slim=slim)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from None
    return sum(file.stat().st_size for file in place.iterdir())


def _check(run: Run, path: Path, *, force: bool) -> None:
    """Raise `UsageError` if the run can't become the baseline at `path`, or if that takes `force`."""
    counts = run.record.counts
    if not force and (run.record.state != "finished" or counts is None or counts.error):
        what = "has errors" if run.record.state == "finished" else f"is {run.record.state}"
        raise UsageError(
            f"{run.path} {what}, and a baseline must be a complete run without errors; use --force to accept it"
        )
    if not path.exists():
        return
    if not (path / RUN).exists():
        raise UsageError(f"{path} exists and is not a run: a baseline needs a folder of its own")
    if path.samefile(run.path):
        raise UsageError(f"{path} is the run itself: choose another folder for the baseline")
    if not force:
        _check_old(path)
    if not force and (lost := _missing_queries(run, path)):
        more = f" and {len(lost) - _LISTED:,} more" if len(lost) > _LISTED else ""
        raise UsageError(
            f"{run.path} lacks {len(lost):,} of the queries in {path} ({', '.join(lost[:_LISTED])}{more}), and"
            " queries without a baseline can't regress; bless a run of all queries, or use --force to drop these"
        )


def _check_old(path: Path) -> None:
    """Raise `UsageError` if the old baseline is damaged: the queries it held are then unknown."""
    try:
        Run.read(str(path))
    except UsageError as error:
        raise UsageError(f"{error}; use --force to replace it with the new baseline") from None


def _missing_queries(run: Run, path: Path) -> list[str]:
    """Return the ids of queries that the baseline at `path` holds and the run lacks, in the baseline's order.

    Each is quoted and cut to `_NAME` characters.
    """
    run_ids = {transcript.id for transcript, _ in Run.lines(run.path)}
    names = dict.fromkeys(transcript.id for transcript, _ in Run.lines(path))
    return [repr(name)[:_NAME] for name in names if name not in run_ids]


def _restore_old(folder: Path, old: Path) -> None:
    """Restore or remove the old baseline that a process left behind when it was killed while replacing it."""
    if old.exists() and not folder.exists():
        old.replace(folder)
    shutil.rmtree(old, ignore_errors=True)


def _replace(run: Run, folder: Path, old: Path, *, slim: bool) -> None:
    """Write the new baseline next to the old one, swap them, and remove the old one and any temporary folder."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        lines = _slim(run) if slim else (line for _, line in Run.lines(run.path))
        with (new / TRANSCRIPTS).open("wb") as file:
            file.writelines(lines)
        record = _record(run.record, slim=slim).line()
        write_file(new / RUN, dump_indented(record) + b"\n")
        with contextlib.suppress(FileNotFoundError):
            folder.replace(old)
        new.replace(folder)
    finally:
        _restore_old(folder, old)
        shutil.rmtree(new, ignore_errors=True)


def _slim(run: Run) -> Iterator[bytes]:
    """Yield the lines of a slim baseline: transcripts without the conversation, prompt, system prompt and checks.

    Messages that the server provided stay, and so does the model's final text.
    """
    for transcript, _ in Run.lines(run.path):
        yield f"{dumps(_without_messages(transcript).line())}\n".encode()


def _without_messages(transcript: Transcript) -> Transcript:
    opening = transcript.messages[: transcript.begins]
    return transcript.model_copy(update={"messages": opening, "asked": [], "system": None, "prompt": "", "checks": []})


def _record(record: RunRecord, *, slim: bool) -> RunRecord:
    """Return the record of a baseline, without what depends on the machine, and would differ in every commit."""
    server = {"server": record.arguments["server"]} if "server" in record.arguments else {}
    return record.model_copy(
        update={
            "versions": {},
            "arguments": server | kept_arguments(record),
            "limits": kept_limits(record),
            "folder": None,
            "baseline": None,
            "slim": slim or record.slim,
        }
    )
