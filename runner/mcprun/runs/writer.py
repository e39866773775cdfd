"""Write run directories (`runs/directory.py` lists their files). Completed work is on disk at any moment.

Each line is written when its event occurs, as a whole and without a buffer. A process that is killed leaves at worst
one torn last line in each JSONL file, and a `run.json` whose `state` is `started`. Resuming the run drops such lines.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from array import array
from collections.abc import Callable, Iterable, Mapping
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import IO

from mcprun._util.compact_index import Numbers
from mcprun._util.json_io import append, dump_indented, sync, write_file, write_lines
from mcprun._util.operating_system import lock
from mcprun.errors import UsageError
from mcprun.runs.directory import LOG, PROMPTS, QUERIES, RETRIED, RUN, TRACE, TRANSCRIPTS, refuse_links
from mcprun.runs.event_lines import EventLines, transcript_line
from mcprun.runs.events import Event, ExchangeEnd, QueryEnd
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord
from mcprun.runs.totals import RunTotals
from mcprun.runs.transcript import Key, Transcript, TranscriptSummary


class RunWriter:
    """Writes one run, new or resumed. Only one process at a time can write a run.

    Existing transcripts are dropped unless `keep` returns True. Those that pass `keep` but not `is_final` will be
    replaced, and are stored in `retried.jsonl` until then. `totals` counts the transcripts that are kept and written.
    Raises `UsageError` if another process writes this run, or if it is not writable.
    """

    def __init__(
        self,
        path: Path,
        keep: Callable[[TranscriptSummary], bool] = lambda _: False,
        is_final: Callable[[TranscriptSummary], bool] = lambda _: True,
    ) -> None:
        self.path = path
        self.log = path / LOG
        self.totals = RunTotals()
        self._offsets = Numbers()
        self._is_broken = self._is_closed = False
        try:
            refuse_links(path)
            self._trace = (path / TRACE).open("a+b", buffering=0)
            _lock(self._trace, path)
            _drop_torn_line(self._trace)
            self._transcripts = self._open_transcripts(keep, is_final)
            self.log.touch()
        except OSError as error:
            raise UsageError(f"can't write {error.filename or path}: {error.strerror}") from None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and _name(key) in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def write(self, event: Event, lines: EventLines) -> None:
        """Write the lines of an event: its transcript, if it holds one, then that of the trace.

        Raises `OSError` if a write fails, such as on a full disk. Later events are then ignored, so that they are not
        written after a torn line. Events after `close` are ignored as well: a server that could not be stopped in time
        may still emit some.
        """
        if self._is_broken or self._is_closed:
            return
        try:
            if isinstance(event, QueryEnd):
                self._write_final(event.transcript, lines.transcript)
            elif isinstance(event, ExchangeEnd):
                self._write_or_replace(event.transcript, lines.transcript)
            append(self._trace, lines.trace)
        except OSError:
            self._is_broken = True
            raise

    def write_final(self, transcript: Transcript) -> None:
        """Write a final transcript, and add it to the totals. Raises `ValueError` if it is nested too deeply."""
        self._write_final(transcript, transcript_line(transcript))

    def _write_final(self, transcript: Transcript, line: bytes) -> None:
        self._write_or_replace(transcript, line)
        self.totals.add(transcript)

    def _write_or_replace(self, transcript: Transcript, line: bytes) -> None:
        """Write the line of a transcript, replacing an earlier and shorter version of the same conversation."""
        name = _name((transcript.id, transcript.repeat))
        end = self._transcripts.tell()
        if (offset := self._offsets.add(name, end)) != end:
            self._replace_last(offset, line)
            return
        append(self._transcripts, line)

    def write_queries(self, digests: Mapping[str, str]) -> None:
        """Write the id and digest of each query to `queries.jsonl`."""
        write_lines(self.path / QUERIES, ({"id": name, "digest": digest} for name, digest in digests.items()))

    def write_prompts(self, source: IO[bytes]) -> None:
        """Write a copy of prompts that can't be read again, such as those from stdin or a chat."""
        source.seek(0)
        copy_path = self.path / f"{PROMPTS}.new"
        with copy_path.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            sync(copy)
        copy_path.replace(self.path / PROMPTS)

    def write_record(self, record: RunRecord) -> None:
        """Replace `run.json` atomically. The first call makes the folder a run."""
        write_file(self.path / RUN, dump_indented(record.line()))

    def close(self, order: Iterable[Key], record: RunRecord) -> None:
        """Sort the transcripts into the given order, write the final `run.json`, and release the run."""
        try:
            sync(self._transcripts)
            offsets = (self._offsets.get(_name(key)) for key in order)
            wanted = array("Q", (offset for offset in offsets if offset is not None))
            if any(one > other for one, other in pairwise(wanted)):
                self._sort(wanted)
            self.write_record(record)
        finally:
            self.release()

    def release(self) -> None:
        """Close the files as they are, and unlock the run for other processes."""
        self._is_closed = True
        for stream in (self._transcripts, self._trace):
            with contextlib.suppress(OSError):  # closing flushes, which fails on a full disk
                stream.close()

    def _replace_last(self, offset: int, line: bytes) -> None:
        """Replace the last line, at `offset`, atomically: the file always holds the old or the new line."""
        path, copy_path = self.path / TRANSCRIPTS, self.path / f"{TRANSCRIPTS}.new"
        with path.open("rb") as source, copy_path.open("wb") as copy:
            copy.write(source.read(offset) + line)
            sync(copy)
        self._transcripts.close()
        copy_path.replace(path)
        self._transcripts = path.open("ab", buffering=0)

    def _sort(self, offsets: Iterable[int]) -> None:
        unsorted, ordered = self.path / TRANSCRIPTS, self.path / f"{TRANSCRIPTS}.new"
        with unsorted.open("rb") as source, ordered.open("wb") as copy:
            for offset in offsets:
                source.seek(offset)
                copy.write(source.readline())
            sync(copy)
        ordered.replace(unsorted)

    def restore_retried(self) -> int:
        """Restore the transcripts in `retried.jsonl` that were not replaced. Return their number.

        After a failed write they stay in that file until the run is resumed.
        """
        restored = 0
        if self._is_broken or not (self.path / RETRIED).exists():
            return restored
        for summary, line in Run.summaries(self.path, RETRIED):
            name = _name((summary.id, summary.repeat))
            if name not in self._offsets:
                self._offsets[name] = self._transcripts.tell()
                append(self._transcripts, line)
                self.totals.add(summary)
                restored += 1
        sync(self._transcripts)
        (self.path / RETRIED).unlink()
        return restored

    def _open_transcripts(
        self, keep: Callable[[TranscriptSummary], bool], is_final: Callable[[TranscriptSummary], bool]
    ) -> FileIO:
        """Open the transcripts for appending, after removing those not to be kept. If all are, nothing is rewritten."""
        path, offset, dropped, again = self.path / TRANSCRIPTS, 0, set[int](), set[int]()
        with path.open("a+b") as stream:
            _drop_torn_line(stream)
            self._recover(stream)
        for number, (summary, line) in enumerate(Run.summaries(self.path)):
            name = _name((summary.id, summary.repeat))
            if name in self._offsets:  # a duplicate, in a damaged file
                dropped.add(number)
            elif keep(summary) and is_final(summary):
                self._offsets[name] = offset
                self.totals.add(summary)
                offset += len(line)
            else:
                dropped.add(number)
                if keep(summary) and summary.has_content:
                    again.add(number)
        if again:
            self._copy(RETRIED, again.__contains__)
        if dropped:
            self._copy(TRANSCRIPTS, lambda number: number not in dropped)
        return path.open("ab", buffering=0)

    def _recover(self, stream: IO[bytes]) -> None:
        """Restore the transcripts that a killed process has left in `retried.jsonl`."""
        aside = self.path / RETRIED
        if not aside.exists():
            return
        existing = {(summary.id, summary.repeat) for summary, _ in Run.summaries(self.path)}
        lines = Run.summaries(self.path, RETRIED)
        stream.writelines(line for summary, line in lines if (summary.id, summary.repeat) not in existing)
        sync(stream)
        aside.unlink()

    def _copy(self, name: str, takes: Callable[[int], bool]) -> None:
        """Copy the transcripts whose line number, from 0, satisfies `takes` to a file, which is replaced atomically."""
        copy_path = self.path / f"{name}.new"
        with (self.path / TRANSCRIPTS).open("rb") as source, copy_path.open("wb") as copy:
            copy.writelines(line for number, line in enumerate(source) if takes(number))
            sync(copy)
        copy_path.replace(self.path / name)


def _lock(stream: FileIO, path: Path) -> None:
    """Lock a run until the stream is closed or the process ends. Raises `UsageError` if it is locked already."""
    try:
        lock(stream.fileno())
    except BlockingIOError:
        raise UsageError(f"another mcprun process is writing {path}: wait until it has ended") from None
    except OSError:  # a file system without locks, or Windows
        return


def _drop_torn_line(stream: IO[bytes] | FileIO) -> None:
    """Truncate a JSONL file after its last complete line."""
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
