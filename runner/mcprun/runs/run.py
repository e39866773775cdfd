"""A run directory, and how it is read. `runs/writer.py` is the only module that writes one.

run.json            what was asked and what answered; written at the start, replaced atomically at the end
transcripts.jsonl   one line a query and repeat; in order of finishing while running, then in order of the file
trace.jsonl         one line an event, in order of happening; locked while a process writes the run
server.log          the servers' stderr
queries.jsonl       one line a query: its id and digest, by which a resumed run knows that the prompts are the same
prompts.jsonl       only when the prompts came on stdin, which can't be read again
retried.jsonl       only while queries are tried again: what they came to before, until that is replaced
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TypeVar

from pydantic import ValidationError

from mcprun._util.compact import Digests
from mcprun._util.json_io import parsed
from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import may_hold
from mcprun._util.operating_system import relative_path
from mcprun._util.shapes import problem
from mcprun._util.special_files import kind_of, refuse_special
from mcprun.errors import UsageError
from mcprun.runs.billed_reply import BilledReply
from mcprun.runs.integrity import damage, is_torn
from mcprun.runs.outline import TranscriptSummary
from mcprun.runs.records import SCHEMA, Counts, RunRecord, Transcript, Usage
from mcprun.runs.totals import RunTotals

OUTPUTS = Path("outputs")
LATEST = "latest"

RUN, TRANSCRIPTS, TRACE, LOG, QUERIES, PROMPTS, RETRIED = (
    "run.json", "transcripts.jsonl", "trace.jsonl", "server.log", "queries.jsonl", "prompts.jsonl", "retried.jsonl"
)  # fmt: skip

FILES = frozenset({RUN, TRANSCRIPTS, TRACE, LOG, QUERIES, PROMPTS, RETRIED})
"""All files of a run."""

Key = tuple[str, int]
"""A query's id and the repeat."""

_Read = TypeVar("_Read", Transcript, TranscriptSummary, RunRecord)

_HEAD = re.compile(rb'\{"schema": ?\d+, ?"id": ?(?P<id>"(?:[^"\\]|\\.)*"), ?"repeat": ?(?P<repeat>\d+)')
"""How the line of a transcript begins."""


_EVENT = re.compile(rb'\{"event":"(?P<name>[a-z_]+)"')
"""How mcprun itself begins the line of an event."""

_REPLIES = frozenset({"model_call", "judge_call", "asked"})
"""Events that hold a model's reply."""

_SHOWN = 40
"""Characters of a wrong version that are shown."""


@dataclass(frozen=True)
class Run:
    """A run directory, for reading."""

    path: Path
    record: RunRecord
    _kept_open: list[IO[bytes]] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def read(cls, name: str) -> Run:
        """Open a run by its folder, by `latest`, or by its name under `outputs/`.

        Raises `UsageError` if there is none, if it can't be read, or if it has ended and its transcripts are not those
        that `run.json` counts.
        """
        run = cls.read_record(name)
        run.check()
        return run

    @classmethod
    def read_record(cls, name: str) -> Run:
        """Open a run without checking its transcripts: to repair it, or to use its record.

        Raises `UsageError` if there is none, if `run.json` can't be read, or if a file of the run is a folder, a pipe,
        a socket or a device, which reading might wait for.
        """
        path = _find(name)
        for file in sorted(FILES):
            refuse_special(path / file)
        try:
            record = _parsed_as(RunRecord, (path / RUN).read_bytes())
        except FileNotFoundError:
            raise UsageError(f"{path} is no run: it has no {RUN}") from None
        except OSError as error:
            raise UsageError(f"can't read {path / RUN}: {error.strerror}") from None
        except ValueError as error:
            raise unreadable(path / RUN, error, f"can't read {path / RUN}") from None
        return cls(path, record)

    def check(self) -> None:
        """Raise `UsageError` if the run has ended and its transcripts don't match the counts in `run.json`."""
        if self.record.state == "started":  # still being written, or killed: there are no counts yet
            return
        file, has_queries = self.path / TRANSCRIPTS, (self.path / QUERIES).exists()
        if has_queries and len(self.digests) != (queries := self.record.prompts.queries):
            held = f"run.json counts {queries:,} queries, and it holds {len(self.digests):,}"
            raise UsageError(f"{self.path / QUERIES} is damaged: {held}")
        found = damage(self.outlines(self.path), self.record.counts, self.digests if has_queries else None)
        if not found and is_torn(file):
            found = "it ends in a torn line"
        if found:
            raise UsageError(f"{file} is damaged: {found}; {self._remedy()}")

    @property
    def is_baseline(self) -> bool:
        """Whether the folder is one that `mcprun bless` wrote: it does not hold what a run needs to go on."""
        return not (self.path / QUERIES).exists()

    def _remedy(self) -> str:
        """Describe how to get back what a damaged folder has lost."""
        if self.is_baseline:
            return f"restore the baseline, or replace it: mcprun bless RUN {self.path} --force"
        if "prompts" not in self.record.arguments:  # a chat
            return f"what was asked can be run again: mcprun batch {self.prompts} SERVER"
        return f"mcprun batch --resume {self.path} repairs it"

    @property
    def prompts(self) -> Path:
        """Where the prompts stand that came on stdin, if they did."""
        return self.path / PROMPTS

    @cached_property
    def counts(self) -> Counts:
        """The totals: those of `run.json`, or of what is there so far while it has none."""
        if self.record.counts:
            return self.record.counts
        tally = RunTotals()
        for outline, _ in self.outlines(self.path):
            tally.add(outline)
        return tally.counts()

    @cached_property
    def digests(self) -> Digests:
        """Each query's digest by its id, in the order of the file. Raises `UsageError` when they can't be read."""
        path, digests = self.path / QUERIES, Digests()
        try:
            with path.open("rb") as stream:
                for line in stream:
                    query = parsed(line)
                    digests.add(query["id"], query["digest"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UsageError(f"can't read {path}: {_reason(error)}") from None
        return digests

    def replies(self) -> Iterator[BilledReply]:
        """Stream all that models replied, to whoever asked, by the trace.

        What came with a batch counts once, however often it was taken from there.
        """
        taken: set[tuple[str, str | None]] = set()
        try:
            with (self.path / TRACE).open("rb") as stream:
                for line in stream:
                    if line.endswith(b"\n") and _is_reply(line):
                        event = parsed(line)
                        if "stop_reason" in event:
                            usage, batch = event.get("usage"), event.get("batch")
                            if batch and (batch, event.get("request_id")) in taken:
                                continue
                            if batch:
                                taken.add((batch, event.get("request_id")))
                            yield BilledReply(
                                event["model"], Usage.model_validate(usage) if usage else None, bool(batch)
                            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"can't read {self.path / TRACE}: {_reason(error)}") from None

    def events(self) -> Iterator[JsonObject]:
        """Stream the events of the trace, in order of happening (`runs/events.py`); none where there is no trace.

        A torn last line does not count. Raises `UsageError` for another that is no event.
        """
        path = self.path / TRACE
        try:
            with path.open("rb") as stream:
                for line in stream:
                    if line.endswith(b"\n"):
                        yield _event(line, path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"can't read {path}: {error.strerror}") from None

    def log(self, offset: int, size: int) -> str:
        """Read so many bytes of the servers' stderr from an offset on; a negative one counts from its end."""
        try:
            with (self.path / LOG).open("rb") as stream:
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(0, offset + end) if offset < 0 else offset)
                return stream.read(size).decode(errors="replace")
        except OSError:
            return ""

    def transcripts(self) -> Iterator[Transcript]:
        """Stream the transcripts, in the order of the file. Raises `UsageError` for a line that is none."""
        return (transcript for transcript, _ in self.lines(self.path))

    @cached_property
    def index(self) -> dict[Key, int]:
        """Where each query's transcript stands; memory holds ids and offsets, not transcripts.

        Raises `UsageError` for a line that is none.
        """
        index, offset = {}, 0
        for transcript, line in self.lines(self.path):
            index[transcript.id, transcript.repeat] = offset
            offset += len(line)
        return index

    def at(self, offset: int) -> Transcript:
        """Read the transcript that begins at an offset of `index`."""
        if not self._kept_open:
            self._kept_open.append((self.path / TRANSCRIPTS).open("rb"))
        (stream,) = self._kept_open
        stream.seek(offset)
        return _read_as(Transcript, stream.readline(), self.path / TRANSCRIPTS)

    def close(self) -> None:
        """Close what `at` holds open."""
        while self._kept_open:
            self._kept_open.pop().close()

    @staticmethod
    def lines(path: Path) -> Iterator[tuple[Transcript, bytes]]:
        """Stream the transcripts of a run's folder with the lines they stand in.

        A torn last line was never finished and does not count. Raises `UsageError` for another that is none.
        """
        return _whole(Transcript, path / TRANSCRIPTS)

    @staticmethod
    def outlines(path: Path, file: str = TRANSCRIPTS) -> Iterator[tuple[TranscriptSummary, bytes]]:
        """Stream the outlines of a run's transcripts with the lines they stand in, as `lines` does."""
        return _whole(TranscriptSummary, path / file)


@dataclass(frozen=True, slots=True)
class TranscriptLines:
    """The whole lines of a file of transcripts. `run` is the run that it belongs to, if any."""

    stream: IO[bytes]
    run: Run | None

    @property
    def tools(self) -> list[JsonObject] | None:
        """The tools of the run's server, as it listed them; `None` where nothing is known of them."""
        return self.run.record.server.tools if self.run and self.run.record.server else None

    def __iter__(self) -> Iterator[bytes]:
        self.stream.seek(0)
        return (line for line in self.stream if line.endswith(b"\n"))

    def is_same(self, other: TranscriptLines) -> bool:
        """Tell whether both are one file, by whatever names it was given."""
        return os.path.sameopenfile(self.stream.fileno(), other.stream.fileno())

    def heads(self) -> Iterator[Key]:
        """Yield each transcript's id and repeat. Of a line that begins as mcprun writes it, only that is parsed."""
        for line in self:
            with suppress(ValueError, KeyError, TypeError):
                if head := _HEAD.match(line):
                    yield _text(head["id"]), int(head["repeat"])
                else:  # another program's order of keys
                    one = parsed(line)
                    yield str(one["id"]), int(one["repeat"])


@contextmanager
def open_transcripts(name: str) -> Iterator[TranscriptLines]:
    """Open the transcripts of a run, or a file of them. Raises `UsageError` when there are none."""
    run = None if Path(name).is_file() else Run.read(name)
    path = run.path / TRANSCRIPTS if run else Path(name)
    is_of_run = path.name == TRANSCRIPTS and (path.parent / RUN).exists()
    if is_of_run and not run:
        Run.read(str(path.parent))  # a file of a damaged run is refused as the run is
    try:
        if not is_of_run and is_torn(path):
            raise UsageError(f"{path} is damaged: it ends in a torn line")
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    with stream:
        yield TranscriptLines(stream, run)


def repeated(*sides: TranscriptLines) -> dict[str, tuple[int, ...]]:
    """Count the repeats of each query that one of the runs holds several of, in each of them."""
    names = {name for side in sides for name, repeat in side.heads() if repeat != 1}
    if not names:
        return {}
    counts = [Counter(name for name, _ in side.heads() if name in names) for side in sides]
    return {name: tuple(count[name] for count in counts) for name in sorted(names)}


@contextmanager
def open_single(name: str, keys: Container[Key]) -> Iterator[Callable[[Key], JsonObject | None]]:
    """Open the transcripts of a run, or a file of them, to read single ones: gives what finds one by its key.

    Memory holds where those of `keys` stand. What was not asked for, or is not there, is `None`.
    """
    path = Path(name) if Path(name).is_file() else Run.read(name).path / TRANSCRIPTS
    places: dict[Key, int] = {}
    with path.open("rb") as stream:
        offset = 0
        for line in stream:
            with suppress(ValueError, KeyError, TypeError):  # a line that is none was told of by who compared them
                one = parsed(line)
                if (key := (one["id"], one["repeat"])) in keys:
                    places[key] = offset
            offset += len(line)

        def find(key: Key) -> JsonObject | None:
            if key not in places:
                return None
            stream.seek(places[key])
            return dict(parsed(stream.readline()))

        yield find


def _text(string: bytes) -> str:
    """Parse a JSON string."""
    return str(parsed(string)) if b"\\" in string else string[1:-1].decode()


def _is_reply(line: bytes) -> bool:
    """Return whether an event is of a kind that holds a model's reply. A line that mcprun did not begin is parsed."""
    if begun := _EVENT.match(line):
        return begun["name"].decode() in _REPLIES
    with suppress(ValueError, KeyError, TypeError):
        return parsed(line)["event"] in _REPLIES
    return False


def _event(line: bytes, path: Path) -> JsonObject:
    """Read an event, and see that what all events share is what it should be."""
    try:
        event = parsed(line)
        datetime.fromisoformat(event["at"]).timestamp()
        as_they_should_be = (
            isinstance(event["event"], str)
            and isinstance(event.get("query", ""), str)
            and all(isinstance(event.get(key, 0), int) for key in ("repeat", "attempt", "turn", "call", "log_offset"))
            and all(math.isfinite(event.get(key, 0)) for key in ("seconds", "wait", "waited"))
        )
    except (ValueError, KeyError, TypeError, ArithmeticError):
        as_they_should_be = False
    if not as_they_should_be:
        raise UsageError(f"{path} holds a line that is no event")
    return dict(event)


def _whole(kind: type[_Read], path: Path) -> Iterator[tuple[_Read, bytes]]:
    try:
        with path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield _read_as(kind, line, path), line
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None


def _parsed_as(kind: type[_Read], data: bytes) -> _Read:
    """Parse a record; numbers that JSON has no form for, which older files hold, become their names."""
    if b"NaN" in data or b"Infinity" in data or may_hold(data):
        return kind.model_validate(parsed(data))
    return kind.model_validate_json(data)


def _read_as(kind: type[_Read], line: bytes, path: Path) -> _Read:
    """Read a line of the transcripts as a whole one, or as the outline of one."""
    with suppress(ValueError):
        return _parsed_as(kind, line)
    try:  # the slower parser accepts halves of surrogate pairs
        return kind.model_validate(parsed(line))
    except ValueError as error:
        raise unreadable(path, error, f"{path} holds a line that is no transcript") from None


def unreadable(path: Path, error: ValueError, what: str) -> UsageError:
    """Return the error for a file of records: a newer version's, or `what` is wrong and why, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        if first["loc"] == ("schema",) and first["type"] == "less_than_equal":
            newer = f"it has schema {str(first['input'])[:_SHOWN]}, and this one reads up to {SCHEMA}"
            return UsageError(f"{path} was written by a newer version of mcprun ({newer}): upgrade mcprun")
    return UsageError(f"{what}: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Describe in one line why a file can't be read."""
    match error:
        case OSError(strerror=str(strerror)):
            return strerror
        case ValidationError():
            return problem(error)
        case KeyError():
            return f"{error.args[0]} is missing"
    return " ".join(str(error).split())


def _find(name: str) -> Path:
    for path in (Path(name), OUTPUTS / name):
        if path.is_dir():
            return _followed(path)
        if path.name == LATEST and path.is_file():
            return OUTPUTS / path.read_text(encoding="utf-8").strip()
    if name == LATEST:
        raise UsageError(f"there is no run yet in {OUTPUTS}/: mcprun batch makes one")
    with suppress(OSError):
        if kind := kind_of(Path(name).stat().st_mode):
            raise UsageError(f"{name} is {kind}, not a run")
    raise UsageError(f"there is no run {name}, nor {OUTPUTS / name}")


def _followed(path: Path) -> Path:
    """Name the folder that a link such as `latest` points to, as seen from here."""
    if not path.is_symlink():
        return path
    return Path(relative_path(path.resolve()))
