"""Writes a run directory (what stands in one: `runs/run.py`). Whatever was finished is on disk, whole, at any moment.

Every line is flushed whole when its event happens. A process that is killed leaves at worst one torn last line in
each JSONL file, and a run whose `run.json` says `started`: whoever opens it again drops the torn lines and goes on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from array import array
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import IO

from mcprun._util.compact import Numbers
from mcprun._util.json_io import encoded, indented, sync, write_file, write_lines
from mcprun._util.json_text import levels
from mcprun._util.operating_system import lock
from mcprun.errors import UsageError
from mcprun.runs.directory import refuse_links
from mcprun.runs.events import Event, ExchangeEnd, QueryEnd
from mcprun.runs.outline import TranscriptSummary
from mcprun.runs.records import RunRecord, Transcript
from mcprun.runs.run import LOG, PROMPTS, QUERIES, RETRIED, RUN, TRACE, TRANSCRIPTS, Key, Run
from mcprun.runs.totals import RunTotals

_MOST_LEVELS = 600
"""Levels of nesting of a transcript: what is written must be read again, and Python's own reader ends near 1,000."""


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds, as all files have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class RunWriter:
    """Writes one run, new or resumed; one process at a time.

    Of the transcripts that are there already, those that are `wanted` stay, and others are dropped. Those of them that
    are not done are to be written anew, and kept aside until they are. `tally` counts what stays and what comes. Raises
    `UsageError` when another process writes this run, or nobody may.
    """

    def __init__(
        self,
        path: Path,
        wanted: Callable[[TranscriptSummary], bool] = lambda _: False,
        is_done: Callable[[TranscriptSummary], bool] = lambda _: True,
    ) -> None:
        self.path = path
        self.log = path / LOG
        self.tally = RunTotals()
        self._places = Numbers()
        self._is_broken = self._is_over = False
        try:
            refuse_links(path)
            self._trace = (path / TRACE).open("a+b")
            _lock(self._trace, path)
            _drop_torn_line(self._trace)
            self._transcripts = self._kept(wanted, is_done)
            self.log.touch()
        except OSError as error:
            raise UsageError(f"can't write {error.filename or path}: {error.strerror}") from None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and _name(key) in self._places

    def __len__(self) -> int:
        return len(self._places)

    def handle(self, event: Event, trace_id: str | None = None) -> None:
        """Take an event: all go to the trace, a finished query's transcript is kept first.

        `trace_id` names the trace of OpenTelemetry that its query has, if it has one.

        Raises `OSError` when the disk takes no more, and from then on takes nothing: what comes later must not be
        written behind a torn line. Nor does it take anything once it is closed: a server that could not be ended in
        time may still report something then.
        """
        if self._is_broken or self._is_over:
            return
        line = event.line(now())
        if trace_id:
            line["trace_id"] = trace_id
        data = encoded(line) + b"\n"
        try:
            if isinstance(event, QueryEnd):
                self.keep(event.transcript)
            elif isinstance(event, ExchangeEnd):
                self._put(event.transcript)
            self._trace.write(data)
            self._trace.flush()
        except OSError:
            self._is_broken = True
            raise

    def keep(self, transcript: Transcript) -> None:
        """Write a transcript that is final."""
        self._put(transcript)
        self.tally.add(transcript)

    def _put(self, transcript: Transcript) -> None:
        """Write a transcript, in place of what was written of the same conversation when it was shorter."""
        name, value = _name((transcript.id, transcript.repeat)), transcript.line()
        line = encoded(value)
        if line.count(b"[") + line.count(b"{") > _MOST_LEVELS and levels(value) > _MOST_LEVELS:
            raise ValueError(f"nested more than {_MOST_LEVELS} levels deep")
        if name in self._places:
            self._replace_last(self._places[name], line + b"\n")
            return
        self._places[name] = self._transcripts.tell()
        self._transcripts.write(line + b"\n")
        self._transcripts.flush()

    def write_queries(self, digests: Mapping[str, str]) -> None:
        """Note what was asked: each query's id and digest."""
        write_lines(self.path / QUERIES, ({"id": name, "digest": digest} for name, digest in digests.items()))

    def write_prompts(self, source: IO[bytes]) -> None:
        """Keep a copy of prompts that can't be read again."""
        source.seek(0)
        copy_path = self.path / f"{PROMPTS}.new"
        with copy_path.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            sync(copy)
        copy_path.replace(self.path / PROMPTS)

    def write_record(self, record: RunRecord) -> None:
        """Replace `run.json`, atomically. From the first time on, the folder is a run."""
        write_file(self.path / RUN, indented(record.line()))

    def close(self, order: Iterable[Key], record: RunRecord) -> None:
        """Bring the transcripts into the given order, write the last `run.json`, and let go of the run."""
        try:
            sync(self._transcripts)
            found = (self._places.get(_name(key)) for key in order)
            wanted = array("Q", (offset for offset in found if offset is not None))
            if any(one > other for one, other in pairwise(wanted)):
                self._sort(wanted)
            self.write_record(record)
        finally:
            self.release()

    def release(self) -> None:
        """Close the files as they are, and let another process write this run."""
        self._is_over = True
        for stream in (self._transcripts, self._trace):
            with contextlib.suppress(OSError):  # what a full disk did not take
                stream.close()

    def _replace_last(self, place: int, line: bytes) -> None:
        """Put another last line in place of that which begins at `place`, in one step: one of them is always there."""
        path, copy_path = self.path / TRANSCRIPTS, self.path / f"{TRANSCRIPTS}.new"
        with path.open("rb") as source, copy_path.open("wb") as copy:
            copy.write(source.read(place) + line)
            sync(copy)
        self._transcripts.close()
        copy_path.replace(path)
        self._transcripts = path.open("ab")

    def _sort(self, offsets: Iterable[int]) -> None:
        unsorted, ordered = self.path / TRANSCRIPTS, self.path / f"{TRANSCRIPTS}.new"
        with unsorted.open("rb") as source, ordered.open("wb") as copy:
            for offset in offsets:
                source.seek(offset)
                copy.write(source.readline())
            sync(copy)
        ordered.replace(unsorted)

    def bring_back(self) -> int:
        """Put back what was to be written anew and was not: give how many transcripts that are.

        On a disk that takes no more they stay aside, until the run goes on.
        """
        brought = 0
        if self._is_broken or not (self.path / RETRIED).exists():
            return brought
        for outline, line in Run.outlines(self.path, RETRIED):
            name = _name((outline.id, outline.repeat))
            if name not in self._places:
                self._places[name] = self._transcripts.tell()
                self._transcripts.write(line)
                self.tally.add(outline)
                brought += 1
        sync(self._transcripts)
        (self.path / RETRIED).unlink()
        return brought

    def _kept(
        self, wanted: Callable[[TranscriptSummary], bool], is_done: Callable[[TranscriptSummary], bool]
    ) -> IO[bytes]:
        """Open the transcripts with what is to stay. Where that is all that is there, it is not written again."""
        path, offset, dropped, again = self.path / TRANSCRIPTS, 0, set[int](), set[int]()
        with path.open("a+b") as stream:
            _drop_torn_line(stream)
            self._recover(stream)
        for number, (outline, line) in enumerate(Run.outlines(self.path)):
            name = _name((outline.id, outline.repeat))
            if name in self._places:  # twice, in a file that is damaged
                dropped.add(number)
            elif wanted(outline) and is_done(outline):
                self._places[name] = offset
                self.tally.add(outline)
                offset += len(line)
            else:
                dropped.add(number)
                if wanted(outline) and outline.is_begun:
                    again.add(number)
        if again:
            self._copy(RETRIED, again.__contains__)
        if dropped:
            self._copy(TRANSCRIPTS, lambda number: number not in dropped)
        return path.open("ab")

    def _recover(self, stream: IO[bytes]) -> None:
        """Put back what a process that was killed has left aside."""
        aside = self.path / RETRIED
        if not aside.exists():
            return
        there = {(outline.id, outline.repeat) for outline, _ in Run.outlines(self.path)}
        lines = Run.outlines(self.path, RETRIED)
        stream.writelines(line for outline, line in lines if (outline.id, outline.repeat) not in there)
        sync(stream)
        aside.unlink()

    def _copy(self, name: str, takes: Callable[[int], bool]) -> None:
        """Copy some of the transcripts, by the number of their line, to a file, and put that in place at once."""
        copy_path = self.path / f"{name}.new"
        with (self.path / TRANSCRIPTS).open("rb") as source, copy_path.open("wb") as copy:
            copy.writelines(line for number, line in enumerate(source) if takes(number))
            sync(copy)
        copy_path.replace(self.path / name)


def _lock(stream: IO[bytes], path: Path) -> None:
    """Be the only one who writes a run, until the stream is closed or the process is gone, however it ends."""
    try:
        lock(stream.fileno())
    except BlockingIOError:
        raise UsageError(f"another mcprun is at work on {path}: wait until it has ended") from None
    except OSError:  # a file system without locks, or Windows
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


def _name(key: Key) -> str:
    query, repeat = key
    return f"{repeat} {query}"
