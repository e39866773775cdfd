"""Baselines: a run that was accepted, kept to compare with, and small enough to be committed."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from mcprun.errors import UsageError
from mcprun.journal import dumps, write_file
from mcprun.records import JsonObject, RunRecord, Transcript
from mcprun.rundir import RUN, TRANSCRIPTS, Run

_MACHINES_OWN: dict[str, JsonObject] = {"versions": {}, "arguments": {}, "limits": {}}
"""What of a record belongs to the machine and the moment, and would differ in every commit."""


def bless(run: Run, path: Path, *, slim: bool, force: bool) -> int:
    """Make a run the baseline at `path`, in place of the one that stands there; give its size in bytes.

    It holds the transcripts and the record. A `slim` one has what a comparison looks at, and can't be replayed.
    Raises `UsageError` for a run that is not whole, unless `force`; and when something else stands at `path`.
    """
    counts = run.record.counts
    if not force and (run.record.state != "finished" or counts is None or counts.error):
        what = "has errors" if run.record.state == "finished" else f"is {run.record.state}"
        raise UsageError(f"{run.path} {what}: a baseline is a run that was whole; give --force to accept it as it is")
    if path.exists() and not (path / RUN).exists():
        raise UsageError(f"{path} is there already and is no run: a baseline needs a folder of its own")
    if path.exists() and path.samefile(run.path):
        raise UsageError(f"{path} is the run itself")
    new = path.with_name(f".{path.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(new)
        new.mkdir(parents=True)
        lines = _slim(run) if slim else (line for _, line in Run.lines(run.path))
        with (new / TRANSCRIPTS).open("wb") as file:
            file.writelines(lines)
        record = _record(run.record, slim=slim).line()
        write_file(new / RUN, json.dumps(record, ensure_ascii=False, indent=2).encode() + b"\n")
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)
        new.replace(path)
    except OSError as error:
        raise UsageError(f"can't write {error.filename or path}: {error.strerror}") from None
    return sum(file.stat().st_size for file in path.iterdir())


def _slim(run: Run) -> Iterator[bytes]:
    """Give the transcripts without what was said; the model's last words stay."""
    for transcript, _ in Run.lines(run.path):
        yield f"{dumps(_without_messages(transcript).line())}\n".encode()


def _without_messages(transcript: Transcript) -> Transcript:
    return transcript.model_copy(update={"messages": [], "system": None, "prompt": "", "checks": []})


def _record(record: RunRecord, *, slim: bool) -> RunRecord:
    kept = {"server": record.arguments["server"]} if "server" in record.arguments else {}
    return record.model_copy(update={**_MACHINES_OWN, "arguments": kept, "folder": None, "slim": slim or record.slim})
