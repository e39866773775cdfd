"""Read run directories (`runs/directory.py` lists their files). Only `runs/writer.py` writes them."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import IO, TypeVar

from pydantic import ValidationError

from mcprun._util.compact_index import Digests
from mcprun._util.cut_text import decode_part
from mcprun._util.json_io import parse_line
from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import may_hold
from mcprun._util.object_validation import problem
from mcprun._util.special_files import refuse_special
from mcprun.errors import NotRunError, UsageError
from mcprun.runs.directory import FILES, LATEST, LOG, PROMPTS, QUERIES, RUN, TRACE, TRANSCRIPTS
from mcprun.runs.identify import flaw, identify_value, json_flaw
from mcprun.runs.integrity import damage, is_torn
from mcprun.runs.locate import find_run, missing_record
from mcprun.runs.record_base import SCHEMA
from mcprun.runs.run_record import Counts, RunRecord
from mcprun.runs.totals import BilledReply, RunTotals
from mcprun.runs.transcript import Key, Transcript, TranscriptOutcomes, TranscriptSummary, Usage

_Read = TypeVar("_Read", Transcript, TranscriptSummary, TranscriptOutcomes, RunRecord)


_EVENT = re.compile(rb'\{"event":"(?P<name>[a-z_]+)"')
"""The start of an event's line as mcprun writes it."""

_REPLIES = frozenset({"model_call", "judge_call", "asked"})
"""Names of events that may hold a model's reply."""

_REQUIRED = frozenset(name for name, field in RunRecord.model_fields.items() if field.is_required())
"""The keys that each `run.json` has."""

_SHOWN = 40
"""Maximum characters of an unsupported version in a message."""

_VERSION = re.compile(r"\d[\w.+!-]{0,39}")
"""A version of mcprun (PEP 440), as a message may repeat it."""


@dataclass(frozen=True)
class Run:
    """A run directory that is open for reading."""

    path: Path
    record: RunRecord
    _open_streams: list[IO[bytes]] = field(default_factory=list, repr=False, compare=False)

    def __repr__(self) -> str:
        """Return the path and the outcome: `<Run 'outputs/good': finished, 3 passed, 1 failed>`."""
        return f"<Run {str(self.path)!r}: {self.record.outcome}>"

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0: the run was completed, every query passed, none regressed, and gates are met."""
        return self.record.exit_code == 0

    @classmethod
    def read(cls, name: str, *, noun: str = "run", advice: str = "") -> Run:
        """Open a run by its folder, by `latest`, or by its name under `outputs/`.

        Raises `UsageError` if it doesn't exist or can't be read, or if it has ended and its transcripts don't match the
        counts in `run.json`. `noun` and `advice` are for the message if it doesn't exist, as in `find_run`.
        """
        run = cls.read_record(name, noun=noun, advice=advice)
        run.check()
        return run

    @classmethod
    def read_record(cls, name: str, *, noun: str = "run", advice: str = "") -> Run:
        """Open a run without checking its transcripts, to repair it or to use its record only.

        Raises `UsageError` if it doesn't exist, if `run.json` can't be read, or if a file of the run is a folder, a
        pipe, a socket or a device, on which reading might block.
        """
        path = find_run(name, noun=noun, advice=advice)
        for file in sorted(FILES):
            refuse_special(path / file)
        try:
            data = (path / RUN).read_bytes()
        except FileNotFoundError:
            raise missing_record(path) from None
        except OSError as error:
            raise UsageError(f"can't read {path / RUN}: {error.strerror}") from None
        try:
            return cls(path, _parsed_as(RunRecord, data))
        except ValueError as error:
            raise _no_record(path, data, error) from None

    def check(self) -> None:
        """Raise `UsageError` if the run has ended and its transcripts don't match the counts in `run.json`."""
        if self.record.state == "started":  # being written, or killed: there are no counts
            return
        file, has_queries = self.path / TRANSCRIPTS, (self.path / QUERIES).exists()
        if has_queries and len(self.digests) != (queries := self.record.prompts.queries):
            detail = f"run.json counts {queries:,} queries, but this file has {len(self.digests):,}"
            raise UsageError(f"{self.path / QUERIES} is damaged: {detail}")
        found = damage(self.summaries(self.path), self.record.counts, self.digests if has_queries else None)
        if not found and is_torn(file):
            found = "its last line is incomplete"
        if found:
            raise UsageError(f"{file} is damaged: {found}; {self._remedy()}")

    @property
    def is_baseline(self) -> bool:
        """Whether `mcprun bless` wrote the folder. A baseline lacks `queries.jsonl`, which resuming needs."""
        return not (self.path / QUERIES).exists()

    def _remedy(self) -> str:
        """Return advice on how to repair or replace the damaged folder."""
        if self.is_baseline:
            return f"restore the baseline, or replace it with mcprun bless RUN {self.path} --force"
        if "prompts" not in self.record.arguments:  # a chat
            return f"to run its prompts again, use mcprun batch {self.prompts} SERVER"
        return f"repair it with mcprun batch --resume {self.path}"

    @property
    def prompts(self) -> Path:
        """The path of the copy of the prompts, which exists if they came from stdin or a chat."""
        return self.path / PROMPTS

    @cached_property
    def counts(self) -> Counts:
        """The totals in `run.json`, or those of the transcripts so far while it has none."""
        if self.record.counts:
            return self.record.counts
        totals = RunTotals()
        for summary, _ in self.summaries(self.path):
            totals.add(summary)
        return totals.counts()

    @cached_property
    def digests(self) -> Digests:
        """The digests of the queries by id, in the order of the file. Raises `UsageError` if they can't be read."""
        path, digests = self.path / QUERIES, Digests()
        try:
            with path.open("rb") as stream:
                for line in stream:
                    query = parse_line(line)
                    digests.add(query["id"], query["digest"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UsageError(f"can't read {path}: {_reason(error)}") from None
        return digests

    def replies(self) -> Iterator[BilledReply]:
        """Stream all model replies in the trace: to queries, to judge requests and to sampling requests.

        A reply from a Message Batch is yielded once, however often it was fetched from there. Raises `UsageError` if
        the trace can't be read.
        """
        taken: set[tuple[str, str | None]] = set()
        try:
            with (self.path / TRACE).open("rb") as stream:
                for line in stream:
                    if line.endswith(b"\n") and _is_reply(line):
                        event = parse_line(line)
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
        """Stream the events of the trace (`runs/events.py`) in order of occurrence, or none if there is no trace.

        A torn last line is ignored. Raises `UsageError` for any other line that is not an event.
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

    def events_named(self, names: Collection[str]) -> Iterator[JsonObject]:
        """Stream the events with one of these names, like `events`. Lines of other events are not parsed."""
        path = self.path / TRACE
        wanted = frozenset(name.encode() for name in names)
        try:
            with path.open("rb") as stream:
                for line in stream:
                    begun = _EVENT.match(line)
                    if line.endswith(b"\n") and (begun is None or begun["name"] in wanted):
                        event = _event(line, path)
                        if event["event"] in names:
                            yield event
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"can't read {path}: {error.strerror}") from None

    def count_events(self) -> Counter[str]:
        """Return the number of events by name, empty without a trace. Lines are not parsed: mcprun wrote them."""
        try:
            with (self.path / TRACE).open("rb") as stream:
                begun = (_EVENT.match(line) for line in stream if line.endswith(b"\n"))
                counts = Counter(found["name"] for found in begun if found)
        except FileNotFoundError:
            return Counter()
        except OSError as error:
            raise UsageError(f"can't read {self.path / TRACE}: {error.strerror}") from None
        return Counter({name.decode(): count for name, count in counts.items()})

    def log(self, offset: int, size: int) -> str:
        """Read up to `size` bytes of the servers' stderr from `offset`, which counts from the end if negative.

        Lines that are cut by either are left out, except an only line. Return an empty string if the log can't be read.
        """
        try:
            with (self.path / LOG).open("rb") as stream:
                end = stream.seek(0, os.SEEK_END)
                start = stream.seek(max(0, offset + end) if offset < 0 else offset)
                data = stream.read(size)
                return decode_part(data, is_begun=offset < 0 < start, is_ended=start + len(data) < end)
        except OSError:
            return ""

    def transcripts(self) -> Iterator[Transcript]:
        """Stream the transcripts in the order of the file. Raises `UsageError` for a line that is not a transcript."""
        return (transcript for transcript, _ in self.lines(self.path))

    @cached_property
    def index(self) -> dict[Key, int]:
        """The byte offset of each transcript. Memory holds ids and offsets, not transcripts.

        Raises `UsageError` for a line that is not a transcript.
        """
        index, offset = {}, 0
        for transcript, line in self.lines(self.path):
            index[transcript.id, transcript.repeat] = offset
            offset += len(line)
        return index

    def at(self, offset: int) -> Transcript:
        """Read the transcript at an offset from `index`. Keeps the file open until `close`."""
        if not self._open_streams:
            self._open_streams.append((self.path / TRANSCRIPTS).open("rb"))
        (stream,) = self._open_streams
        stream.seek(offset)
        return _read_as(Transcript, stream.readline(), stream.name)

    def close(self) -> None:
        """Close the file that `at` keeps open."""
        while self._open_streams:
            self._open_streams.pop().close()

    @staticmethod
    def lines(path: Path) -> Iterator[tuple[Transcript, bytes]]:
        """Stream the transcripts in a run's folder, each with its line.

        A torn last line was never completed, and is ignored. Raises `UsageError` for any other line that is not a
        transcript.
        """
        return _complete_lines(Transcript, path / TRANSCRIPTS)

    def outcomes(self) -> Iterator[tuple[TranscriptOutcomes, bytes]]:
        """Stream the calls of the transcripts, each with the line of its transcript, like `lines`."""
        return _complete_lines(TranscriptOutcomes, self.path / TRANSCRIPTS)

    @staticmethod
    def summaries(path: Path, file: str = TRANSCRIPTS) -> Iterator[tuple[TranscriptSummary, bytes]]:
        """Stream the summaries of the transcripts in a run's folder, each with its line, like `lines`."""
        return _complete_lines(TranscriptSummary, path / file)


def parse_transcript(line: bytes, path: Path) -> Transcript:
    """Parse a complete line of the transcripts in a run's folder. Raises `UsageError` if it is not a transcript."""
    return _read_as(Transcript, line, path / TRANSCRIPTS)


def _is_reply(line: bytes) -> bool:
    """Return whether an event may hold a model's reply. The line is parsed only if mcprun did not write it."""
    if begun := _EVENT.match(line):
        return begun["name"].decode() in _REPLIES
    with suppress(ValueError, KeyError, TypeError):
        return parse_line(line)["event"] in _REPLIES
    return False


def _event(line: bytes, path: Path) -> JsonObject:
    """Parse a line of the trace. Raises `UsageError` if a field that events share is missing or invalid."""
    try:
        event = parse_line(line)
        datetime.fromisoformat(event["at"]).timestamp()
        is_valid = (
            isinstance(event["event"], str)
            and isinstance(event.get("query", ""), str)
            and all(isinstance(event.get(key, 0), int) for key in ("repeat", "attempt", "turn", "call", "log_offset"))
            and all(math.isfinite(event.get(key, 0)) for key in ("seconds", "wait", "waited"))
        )
    except (ValueError, KeyError, TypeError, ArithmeticError):
        is_valid = False
    if not is_valid:
        raise UsageError(f"{path} has a line that is not an event")
    return dict(event)


def _complete_lines(kind: type[_Read], path: Path) -> Iterator[tuple[_Read, bytes]]:
    """Stream the records of a JSONL file, each with its line, without a torn last line."""
    try:
        with path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield _read_as(kind, line, path), line
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None


def _parsed_as(kind: type[_Read], data: bytes) -> _Read:
    """Parse a record. NaN, infinity and overlong integers, which older files may hold, become text."""
    if b"NaN" in data or b"Infinity" in data or may_hold(data):
        return kind.model_validate(parse_line(data))
    return kind.model_validate_json(data)


def _read_as(kind: type[_Read], line: bytes, path: Path | str) -> _Read:
    """Parse a line as a transcript or a summary of one. Raises `UsageError` if it is neither."""
    with suppress(ValueError):
        return _parsed_as(kind, line)
    try:  # the slower parser accepts lone surrogates
        return kind.model_validate(parse_line(line))
    except ValueError as error:
        raise unreadable(path, error, f"{path} has a line that is not a transcript") from None


def unreadable(path: Path | str, error: ValueError, what: str, remedy: str = "", needs: str = "") -> UsageError:
    """Return the error for an invalid record: written by a newer mcprun, or else `what`, the reason and the remedy.

    `needs` is the first version that reads the record, if it is known.
    """
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        if first["loc"] == ("schema",) and first["type"] == "less_than_equal":
            detail = f"its schema is {str(first['input'])[:_SHOWN]}, and this version reads up to {SCHEMA}"
            upgrade = f"upgrade mcprun to {needs} or later" if needs else "upgrade mcprun"
            return UsageError(f"{path} was written by a newer version of mcprun ({detail}): {upgrade}")
    return UsageError(f"{what}: {_reason(error)}" + (f"; {remedy}" if remedy else ""))


def _no_record(folder: Path, data: bytes, error: ValueError) -> UsageError:
    """Return the error for a `run.json` that is not the record of a run: what it is instead, or what is wrong in it."""
    path = folder / RUN
    restore = "restore it from a copy"
    replace = (
        "run the queries again"
        if (folder / QUERIES).exists()
        else f"replace the baseline with mcprun bless RUN {folder} --force"
    )
    if found := flaw(data):
        return UsageError(f"{path} is damaged: it is {found}; {restore}, or {replace}")
    value = parse_line(data)
    if not isinstance(value, dict) or (
        len(_REQUIRED & value.keys()) * 2 < len(_REQUIRED) and "needs_mcprun" not in value
    ):
        return NotRunError(f"{folder} is not a run of mcprun: its {RUN} is {identify_value(value)}")
    return unreadable(path, error, f"{path} is damaged", f"{restore}, or {replace}", _needed_version(value))


def _needed_version(record: JsonObject) -> str:
    """Return the version of mcprun that a `run.json` needs, or else the one that wrote it; empty if it has neither."""
    versions = record.get("versions")
    candidates = (record.get("needs_mcprun"), versions.get("mcprun") if isinstance(versions, dict) else None)
    return next((one for one in candidates if isinstance(one, str) and _VERSION.fullmatch(one)), "")


def _reason(error: Exception) -> str:
    """Return the reason why a file can't be read, in one line."""
    match error:
        case OSError(strerror=str(strerror)):
            return strerror
        case ValidationError():
            return problem(error)
        case JSONDecodeError():
            return f"it is {json_flaw(error)}"
        case KeyError():
            return f"{error.args[0]} is missing"
    return " ".join(str(error).split())


def latest_run() -> Path | None:
    """Return the path of the run that `outputs/latest` points to, or None."""
    with contextlib.suppress(OSError, UsageError):
        return Run.read_record(LATEST).path
    return None
