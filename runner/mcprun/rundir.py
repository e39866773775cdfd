"""The run directory: this module is the only one that writes or reads it.

run.json            written at the start, replaced atomically at the end
transcripts.jsonl   one line a query and repeat; in order of finishing while running, then in order of the file
trace.jsonl         one line an event, in order of happening
server.log          the servers' stderr
prompts.jsonl       only when the prompts came on stdin, which can't be read again
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import jsonlines
from pydantic import ValidationError

from mcprun.errors import UsageError
from mcprun.events import Event, QueryEnd
from mcprun.records import RunRecord, Tally, Transcript

OUTPUTS = Path("outputs")
LATEST = "latest"

_RUN, _TRANSCRIPTS, _TRACE, _LOG, _PROMPTS = (
    "run.json", "transcripts.jsonl", "trace.jsonl", "server.log", "prompts.jsonl"
)  # fmt: skip

Key = tuple[str, int]
"""A query's id and the repeat."""


def now() -> str:
    """The time in UTC, ISO 8601 with milliseconds, as all files have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dumps(value: Any) -> str:
    """Write JSON compactly and readably.

    Text that UTF-8 can't hold (lone surrogates) is escaped, and numbers that JSON has none of, as a server may
    send them, become text: `"NaN"`, `"inf"`.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return dumps(_finite(value))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def new_directory(stem: str, out: str | None) -> Path:
    """Make the folder of a new run: `out`, or `outputs/<date>-<time>-<stem>`, numbered when it is taken.

    Raises `UsageError` when `out` holds something already, or can't be made.
    """
    try:
        if out is not None:
            path = Path(out)
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
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


class RunWriter:
    """Writes one run. Every line is flushed whole, so that whatever was finished is on disk."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.log = path / _LOG
        self.record = record
        self.tally = Tally()
        self._places: list[tuple[Key, int]] = []
        self._transcripts = (path / _TRANSCRIPTS).open("wb")
        self._trace = (path / _TRACE).open("wb")
        self._write_transcript = jsonlines.Writer(self._transcripts, dumps=dumps, flush=True)
        self._write_event = jsonlines.Writer(self._trace, dumps=dumps, flush=True)
        self.log.touch()
        self.update(record)

    def handle(self, event: Event) -> None:
        """Take an event: all go to the trace, a finished query's transcript is kept first."""
        if isinstance(event, QueryEnd):
            transcript = event.transcript
            if not self._places:  # a run in which nothing was recorded is nothing to come back to
                mark_latest(self.path)
            self._places.append(((transcript.id, transcript.repeat), self._transcripts.tell()))
            self._write_transcript.write(transcript.line())
            self.tally.add(transcript)
        line = event.line()
        self._write_event.write({"event": line.pop("event"), "at": now(), **line})

    def update(self, record: RunRecord) -> None:
        """Replace `run.json`, atomically."""
        self.record = record
        _replace(
            self.path / _RUN,
            json.dumps(record.line(), ensure_ascii=False, indent=2).encode("utf-8", "replace"),
        )

    def keep_prompts(self, source: IO[bytes]) -> None:
        """Keep a copy of prompts that can't be read again."""
        source.seek(0)
        with (self.path / _PROMPTS).open("wb") as copy:
            shutil.copyfileobj(source, copy)

    def close(self, order: Iterable[Key]) -> None:
        """Bring the transcripts into the given order and close the files."""
        self._transcripts.close()
        self._trace.close()
        places = dict(self._places)
        wanted = [places[key] for key in order if key in places]
        if wanted == sorted(wanted):
            return
        unsorted, ordered = self.path / _TRANSCRIPTS, self.path / f"{_TRANSCRIPTS}.new"
        with unsorted.open("rb") as source, ordered.open("wb") as copy:
            for offset in wanted:
                source.seek(offset)
                copy.write(source.readline())
            _sync(copy)
        ordered.replace(unsorted)


@dataclass(frozen=True)
class Run:
    """A run directory, for reading."""

    path: Path
    record: RunRecord
    _kept_open: list[IO[bytes]] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def read(cls, name: str) -> Run:
        """Open a run by its folder, by `latest`, or by its name under `outputs/`.

        Raises `UsageError` when there is none, or none that can be read.
        """
        path = _find(name)
        try:
            record = RunRecord.model_validate_json((path / _RUN).read_bytes())
        except FileNotFoundError:
            raise UsageError(f"{path} is no run: it has no {_RUN}") from None
        except (OSError, ValidationError) as error:
            raise UsageError(f"can't read {path / _RUN}: {str(error).splitlines()[0]}") from None
        return cls(path, record)

    @property
    def log(self) -> Path:
        """The servers' stderr."""
        return self.path / _LOG

    def transcripts(self) -> Iterator[Transcript]:
        """Stream the transcripts, in the order of the file. Raises `UsageError` for a line that is none."""
        for _, line in self._lines():
            yield self._transcript(line)

    def index(self) -> dict[Key, int]:
        """Find where each query's transcript stands; memory holds ids and offsets, not transcripts."""
        return {
            (transcript.id, transcript.repeat): offset
            for offset, line in self._lines()
            for transcript in (self._transcript(line),)
        }

    def at(self, offset: int) -> Transcript:
        """Read the transcript that begins at an offset of `index`."""
        if not self._kept_open:
            self._kept_open.append((self.path / _TRANSCRIPTS).open("rb"))
        (stream,) = self._kept_open
        stream.seek(offset)
        return self._transcript(stream.readline())

    def close(self) -> None:
        """Close what `at` holds open."""
        while self._kept_open:
            self._kept_open.pop().close()

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """Stream the whole lines with their offsets; a torn last line was never finished and does not count."""
        path = self.path / _TRANSCRIPTS
        try:
            with path.open("rb") as stream:
                offset = 0
                for line in stream:
                    if line.endswith(b"\n"):
                        yield offset, line
                    offset += len(line)
        except OSError as error:
            raise UsageError(f"can't read {path}: {error.strerror}") from None

    def _transcript(self, line: bytes) -> Transcript:
        try:
            return Transcript.model_validate(json.loads(line))
        except ValidationError as error:
            wrong = ".".join(str(step) for step in error.errors(include_url=False)[0]["loc"])
            raise UsageError(f"{self.path / _TRANSCRIPTS} holds a line that is no transcript: {wrong}") from None
        except ValueError as error:
            raise UsageError(f"{self.path / _TRANSCRIPTS} holds a line that is no transcript: {error}") from None


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


def _find(name: str) -> Path:
    for path in (Path(name), OUTPUTS / name):
        if path.is_dir():
            return _followed(path)
        if path.name == LATEST and path.is_file():
            return OUTPUTS / path.read_text(encoding="utf-8").strip()
    if name == LATEST:
        raise UsageError(f"there is no run yet in {OUTPUTS}/: mcprun batch makes one")
    raise UsageError(f"there is no run {name}, nor {OUTPUTS / name}")


def _followed(path: Path) -> Path:
    """Name the folder that a link such as `latest` points to, as seen from here."""
    if not path.is_symlink():
        return path
    return Path(os.path.relpath(path.resolve()))


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as stream:
        stream.write(data)
        _sync(stream)
    new.replace(path)


def _sync(stream: IO[bytes]) -> None:
    stream.flush()
    os.fsync(stream.fileno())
