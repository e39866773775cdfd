"""Writes a run directory (what stands in one: `rundir.py`). Whatever was finished is on disk, whole, at any moment.

Every line is flushed whole when its event happens. A process that is killed leaves at worst one torn last line in
each JSONL file, and a run whose `run.json` says `started`: whoever opens it again drops the torn lines and goes on.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import sys
from array import array
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import jsonlines
from pydantic_core import to_json

from mcprun.compact import Numbers
from mcprun.errors import UsageError
from mcprun.events import Event, ExchangeEnd, QueryEnd
from mcprun.outline import Outline
from mcprun.records import JsonObject, RunRecord, Transcript
from mcprun.rundir import LATEST, LOG, OUTPUTS, PROMPTS, QUERIES, RUN, TRACE, TRANSCRIPTS, Key, Run
from mcprun.tally import Tally


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds, as all files have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def dumps(value: Any) -> str:
    """Write JSON compactly and readably.

    Text that UTF-8 can't hold (lone surrogates) is escaped, and numbers that JSON has none of, as a server may
    send them, become text: `"nan"`, `"inf"`.
    """
    return _encoded(value).decode()


def _encoded(value: Any) -> bytes:
    try:
        data = to_json(value)
    except ValueError:  # lone surrogates, or nested deeper than it goes
        return _patiently_encoded(value)
    return _patiently_encoded(value) if b"NaN" in data or b"Infinity" in data else data


def _patiently_encoded(value: Any) -> bytes:
    """Write what the quick way can't, or must not, write."""
    try:
        return _to_json(value).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
    except ValueError:
        return _patiently_encoded(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def new_directory(stem: str, out: str | None) -> Path:
    """Make the folder of a new run: `out`, or `outputs/<date>-<time>-<stem>`, numbered when it is taken.

    Raises `UsageError` when `out` holds something already, or can't be made. What a process leaves that is killed
    before it has written a `run.json` does not count.
    """
    try:
        if out is not None:
            path = Path(out)
            path.mkdir(parents=True, exist_ok=True)
            if (path / RUN).exists():
                raise UsageError(f"{path} holds a run: give --out another name, or go on with it by --resume {path}")
            transcripts = path / TRANSCRIPTS
            holds_more = any(file.name.removesuffix(".new") not in _BEFORE for file in path.iterdir())
            if holds_more or (transcripts.exists() and transcripts.stat().st_size):
                raise UsageError(f"{path} is not empty: a run needs a folder of its own, give --out another name")
            return path
        base = OUTPUTS / f"{datetime.now():%Y-%m-%d-%H%M%S}-{stem}"
        for path in (base, *(base.with_name(f"{base.name}-{number}") for number in range(2, 1000))):
            with contextlib.suppress(FileExistsError):
                path.mkdir(parents=True)
                return path
    except OSError as error:
        raise UsageError(f"can't make the run's folder {error.filename}: {error.strerror}") from None
    raise UsageError(f"{base} and its numbered neighbours all exist already")


_BEFORE = frozenset({RUN, TRACE, TRANSCRIPTS, LOG, QUERIES, PROMPTS})


class Journal:
    """Writes one run, new or resumed; one process at a time.

    `keep` says which of the transcripts that are there already are to stay; the others are dropped. `tally` counts
    what stays and what comes. Raises `UsageError` when another process writes this run, or nobody may.
    """

    def __init__(self, path: Path, keep: Callable[[Outline], bool] = lambda _: False) -> None:
        self.path = path
        self.log = path / LOG
        self.tally = Tally()
        self._places = Numbers()
        self._is_broken = False
        try:
            self._trace = (path / TRACE).open("a+b")
            _lock(self._trace, path)
            _drop_torn_line(self._trace)
            self._transcripts = self._kept(keep)
            self.log.touch()
        except OSError as error:
            raise UsageError(f"can't write {error.filename or path}: {error.strerror}") from None
        self._write_transcript = jsonlines.Writer(self._transcripts, dumps=_encoded, flush=True)
        self._write_event = jsonlines.Writer(self._trace, dumps=_encoded, flush=True)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and _name(key) in self._places

    def __len__(self) -> int:
        return len(self._places)

    def handle(self, event: Event, trace_id: str | None = None) -> None:
        """Take an event: all go to the trace, a finished query's transcript is kept first.

        `trace_id` names the trace of OpenTelemetry that its query has, if it has one.

        Raises `OSError` when the disk takes no more, and from then on takes nothing: what comes later must not be
        written behind a torn line.
        """
        if self._is_broken:
            return
        line = event.line(now())
        if trace_id:
            line["trace_id"] = trace_id
        try:
            if isinstance(event, QueryEnd):
                self.keep(event.transcript)
            elif isinstance(event, ExchangeEnd):
                self._put(event.transcript)
            self._write_event.write(line)
        except OSError:
            self._is_broken = True
            raise

    def keep(self, transcript: Transcript) -> None:
        """Write a transcript that is final."""
        self._put(transcript)
        self.tally.add(transcript)

    def _put(self, transcript: Transcript) -> None:
        """Write a transcript, in place of what was written of the same conversation when it was shorter."""
        name = _name((transcript.id, transcript.repeat))
        if name in self._places:
            self._replace_last(self._places[name], _encoded(transcript.line()) + b"\n")
            return
        self._places[name] = self._transcripts.tell()
        self._write_transcript.write(transcript.line())

    def write_queries(self, digests: Mapping[str, str]) -> None:
        """Note what was asked: each query's id and digest."""
        write_lines(self.path / QUERIES, ({"id": name, "digest": digest} for name, digest in digests.items()))

    def write_prompts(self, source: IO[bytes]) -> None:
        """Keep a copy of prompts that can't be read again."""
        source.seek(0)
        copy_path = self.path / f"{PROMPTS}.new"
        with copy_path.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            _sync(copy)
        copy_path.replace(self.path / PROMPTS)

    def write_record(self, record: RunRecord) -> None:
        """Replace `run.json`, atomically. From the first time on, the folder is a run."""
        text = json.dumps(record.line(), ensure_ascii=False, indent=2)
        write_file(self.path / RUN, text.encode("utf-8", "replace"))

    def close(self, order: Iterable[Key], record: RunRecord) -> None:
        """Bring the transcripts into the given order, write the last `run.json`, and let go of the run."""
        try:
            _sync(self._transcripts)
            found = (self._places.get(_name(key)) for key in order)
            wanted = array("Q", (offset for offset in found if offset is not None))
            if any(one > other for one, other in pairwise(wanted)):
                self._sort(wanted)
            self.write_record(record)
        finally:
            self.release()

    def release(self) -> None:
        """Close the files as they are, and let another process write this run."""
        for stream in (self._transcripts, self._trace):
            with contextlib.suppress(OSError):  # what a full disk did not take
                stream.close()

    def _replace_last(self, place: int, line: bytes) -> None:
        """Put another last line in place of that which begins at `place`, in one step: one of them is always there."""
        path, copy_path = self.path / TRANSCRIPTS, self.path / f"{TRANSCRIPTS}.new"
        with path.open("rb") as source, copy_path.open("wb") as copy:
            copy.write(source.read(place) + line)
            _sync(copy)
        self._transcripts.close()
        copy_path.replace(path)
        self._transcripts = path.open("ab")
        self._write_transcript = jsonlines.Writer(self._transcripts, dumps=_encoded, flush=True)

    def _sort(self, offsets: Iterable[int]) -> None:
        unsorted, ordered = self.path / TRANSCRIPTS, self.path / f"{TRANSCRIPTS}.new"
        with unsorted.open("rb") as source, ordered.open("wb") as copy:
            for offset in offsets:
                source.seek(offset)
                copy.write(source.readline())
            _sync(copy)
        ordered.replace(unsorted)

    def _kept(self, keep: Callable[[Outline], bool]) -> IO[bytes]:
        """Open the transcripts with what is to stay. Where that is all that is there, it is not written again."""
        path, offset, dropped = self.path / TRANSCRIPTS, 0, set[int]()
        with path.open("a+b") as stream:
            _drop_torn_line(stream)
        for number, (outline, line) in enumerate(Run.outlines(self.path)):
            if keep(outline):
                self._places[_name((outline.id, outline.repeat))] = offset
                self.tally.add(outline)
                offset += len(line)
            else:
                dropped.add(number)
        if dropped:
            self._drop(dropped)
        return path.open("ab")

    def _drop(self, numbers: Container[int]) -> None:
        """Copy all transcripts but these, by the number of their line, and put the copy in place at once."""
        path, copy_path = self.path / TRANSCRIPTS, self.path / f"{TRANSCRIPTS}.new"
        with path.open("rb") as source, copy_path.open("wb") as copy:
            copy.writelines(line for number, line in enumerate(source) if number not in numbers)
            _sync(copy)
        copy_path.replace(path)


def latest_run() -> Path | None:
    """Give the run that `outputs/latest` names, if it names one."""
    with contextlib.suppress(OSError, UsageError):
        return Run.read(LATEST).path
    return None


def mark_latest(path: Path) -> None:
    """Make `outputs/latest` name this run: a link where links can be made, else a text file with its path."""
    latest = OUTPUTS / LATEST
    # A run with --out may stand where outputs/ can't be made; it is a convenience, and never fails a run.
    with contextlib.suppress(OSError):
        OUTPUTS.mkdir(exist_ok=True)
        target = os.path.relpath(path, OUTPUTS)
        new = OUTPUTS / f".{LATEST}.{os.getpid()}"
        try:
            new.symlink_to(target, target_is_directory=True)
        except OSError:
            new.write_text(target, encoding="utf-8")
        new.replace(latest)


def _lock(stream: IO[bytes], path: Path) -> None:
    """Be the only one who writes a run, until the stream is closed or the process is gone, however it ends."""
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another mcprun is at work on {path}: wait until it has ended") from None
    except OSError:  # a file system that knows no locks
        return


def _drop_torn_line(stream: IO[bytes]) -> None:
    """Cut a JSONL file off behind its last whole line."""
    end = stream.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        stream.seek(start)
        found = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            stream.truncate(start + found + 1)
            break
        end = start
    else:
        stream.truncate(0)
    stream.seek(0, os.SEEK_END)


def write_file(path: Path, data: bytes) -> None:
    """Write a file, or replace it, in one step: it is never there half."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as stream:
        stream.write(data)
        _sync(stream)
    new.replace(path)


def write_lines(path: Path, values: Iterable[JsonObject]) -> None:
    """Write a JSONL file in one step, line by line."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as stream:
        stream.writelines(_encoded(value) + b"\n" for value in values)
        _sync(stream)
    new.replace(path)


def _name(key: Key) -> str:
    query, repeat = key
    return f"{repeat} {query}"


def _sync(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
