"""Baselines: a run that was accepted, kept to compare with, and small enough to be committed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mcprun._util.json_io import dumps, indented, write_file
from mcprun._util.json_value import JsonObject
from mcprun.errors import UsageError
from mcprun.runs.records import RunRecord, Transcript
from mcprun.runs.run import RUN, TRANSCRIPTS, Run

_MACHINES_OWN: dict[str, JsonObject] = {"versions": {}, "arguments": {}, "limits": {}}
"""What of a record belongs to the machine and the moment, and would differ in every commit."""

_TOLD = 5
"""So many queries are named that a baseline would lose."""

_NAME = 100
"""Characters of a query's id that are shown."""


def bless(run: Run, path: Path, *, slim: bool, force: bool) -> int:
    """Make a run the baseline at `path`, in place of the one that stands there; give its size in bytes.

    It holds the transcripts and the record. A `slim` one has what a comparison looks at, and can't be replayed. Where
    `path` is a link, what it points to is replaced. Raises `UsageError` for a run that is not whole, or lacks queries
    of the baseline that stands there, unless `force`; and when something else stands at `path`, or nobody may write.
    """
    place = Path(os.path.realpath(path))
    old = place.with_name(f".{place.name}.old")
    try:
        _heal(place, old)
        _check(run, path, force=force)
        _replace(run, place, old, slim=slim)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror or error}") from None
    return sum(file.stat().st_size for file in place.iterdir())


def _check(run: Run, path: Path, *, force: bool) -> None:
    """Refuse what is no baseline, and what is none without force."""
    counts = run.record.counts
    if not force and (run.record.state != "finished" or counts is None or counts.error):
        what = "has errors" if run.record.state == "finished" else f"is {run.record.state}"
        raise UsageError(f"{run.path} {what}: a baseline is a run that was whole; give --force to accept it as it is")
    if not path.exists():
        return
    if not (path / RUN).exists():
        raise UsageError(f"{path} is there already and is no run: a baseline needs a folder of its own")
    if path.samefile(run.path):
        raise UsageError(f"{path} is the run itself")
    if not force:
        _check_old(path)
    if not force and (lost := _lost(run, path)):
        more = f" and {len(lost) - _TOLD:,} more" if len(lost) > _TOLD else ""
        raise UsageError(
            f"{run.path} lacks {len(lost):,} of the queries that {path} holds ({', '.join(lost[:_TOLD])}{more}), and"
            " what a baseline does not hold can't regress; bless a run of all queries, or give --force to drop them"
        )


def _check_old(path: Path) -> None:
    """Refuse to replace a damaged baseline: which queries it held is not known."""
    try:
        Run.read(str(path))
    except UsageError as error:
        raise UsageError(f"{error}; give --force to replace it by the new baseline") from None


def _lost(run: Run, path: Path) -> list[str]:
    """Name the queries that the baseline at `path` holds and the run does not, a line each, in its order."""
    held = {transcript.id for transcript, _ in Run.lines(run.path)}
    names = dict.fromkeys(transcript.id for transcript, _ in Run.lines(path))
    return [repr(name)[:_NAME] for name in names if name not in held]


def _heal(place: Path, old: Path) -> None:
    """Put right what a process left that was killed while it replaced the baseline."""
    if old.exists() and not place.exists():
        old.replace(place)
    shutil.rmtree(old, ignore_errors=True)


def _replace(run: Run, place: Path, old: Path, *, slim: bool) -> None:
    """Write the new baseline beside the old one, and let them change places; leave nothing else behind."""
    new = place.with_name(f".{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        lines = _slim(run) if slim else (line for _, line in Run.lines(run.path))
        with (new / TRANSCRIPTS).open("wb") as file:
            file.writelines(lines)
        record = _record(run.record, slim=slim).line()
        write_file(new / RUN, indented(record) + b"\n")
        with contextlib.suppress(FileNotFoundError):
            place.replace(old)
        new.replace(place)
    finally:
        _heal(place, old)
        shutil.rmtree(new, ignore_errors=True)


def _slim(run: Run) -> Iterator[bytes]:
    """Give the transcripts without what was said; what the server gave, and the model's last words, stay."""
    for transcript, _ in Run.lines(run.path):
        yield f"{dumps(_without_messages(transcript).line())}\n".encode()


def _without_messages(transcript: Transcript) -> Transcript:
    given = transcript.messages[: transcript.begins]
    return transcript.model_copy(update={"messages": given, "asked": [], "system": None, "prompt": "", "checks": []})


def _record(record: RunRecord, *, slim: bool) -> RunRecord:
    kept = {"server": record.arguments["server"]} if "server" in record.arguments else {}
    return record.model_copy(update={**_MACHINES_OWN, "arguments": kept, "folder": None, "slim": slim or record.slim})
