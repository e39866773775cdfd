"""Open the transcripts of a run, or a transcripts file that was copied out of one, for comparison."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mcprun._util.json_io import parse_line
from mcprun._util.json_value import JsonObject
from mcprun.errors import UsageError
from mcprun.runs.directory import RUN, TRANSCRIPTS
from mcprun.runs.identify import TRANSCRIPTS_FILE, identify, known_as
from mcprun.runs.integrity import is_torn
from mcprun.runs.run import Run
from mcprun.runs.transcript import Key

_HEAD = re.compile(rb'\{"schema": ?\d+, ?"id": ?(?P<id>"(?:[^"\\]|\\.)*"), ?"repeat": ?(?P<repeat>\d+)')
"""The start of a transcript's line as mcprun writes it."""


@dataclass(frozen=True, slots=True)
class TranscriptLines:
    """The complete lines of a transcripts file. `run` is None if it was opened as a file, not as a run."""

    stream: IO[bytes]
    run: Run | None

    @property
    def tools(self) -> list[JsonObject] | None:
        """The tools as the run's server listed them, or None if unknown."""
        return self.run.record.server.tools if self.run and self.run.record.server else None

    def __iter__(self) -> Iterator[bytes]:
        self.stream.seek(0)
        return (line for line in self.stream if line.endswith(b"\n"))

    def is_same(self, other: TranscriptLines) -> bool:
        """Return whether both are the same file, even if opened by different names."""
        return os.path.sameopenfile(self.stream.fileno(), other.stream.fileno())

    def heads(self) -> Iterator[Key]:
        """Yield the id and repeat of each transcript. Only the start of a line is parsed if mcprun wrote it."""
        for line in self:
            with suppress(ValueError, KeyError, TypeError):
                if head := _HEAD.match(line):
                    yield _text(head["id"]), int(head["repeat"])
                else:  # keys in another order, written by another program
                    one = parse_line(line)
                    yield str(one["id"]), int(one["repeat"])


@contextmanager
def open_transcripts(name: str) -> Iterator[TranscriptLines]:
    """Open the transcripts of a run, or a transcripts file.

    Raises `UsageError` if it can't be read, is damaged, or is another file.
    """
    run = None if Path(name).is_file() else Run.read(name)
    path = run.path / TRANSCRIPTS if run else Path(name)
    is_of_run = path.name == TRANSCRIPTS and (path.parent / RUN).exists()
    if is_of_run and not run:
        Run.read(str(path.parent))  # refuse the file of a damaged run, like the run itself
    try:
        if not is_of_run and is_torn(path):
            raise UsageError(f"{path} is damaged: its last line is incomplete")
        stream = path.open("rb")
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    with stream:
        if not is_of_run and not _begins_with_transcript(stream):
            raise UsageError(f"{path} is {identify(path)}, and neither a run nor its {TRANSCRIPTS}")
        yield TranscriptLines(stream, run)


def _begins_with_transcript(stream: IO[bytes]) -> bool:
    """Return whether the first line of a file has the keys of a transcript. An empty file has no wrong line."""
    first = stream.readline()
    with suppress(ValueError):
        value = parse_line(first)
        return isinstance(value, dict) and known_as(value) == TRANSCRIPTS_FILE
    return not first


def repeated(*sides: TranscriptLines) -> dict[str, tuple[int, ...]]:
    """Count the repeats of each query that was repeated in any of the runs. Return a count per run by query id."""
    names = {name for side in sides for name, repeat in side.heads() if repeat != 1}
    if not names:
        return {}
    counts = [Counter(name for name, _ in side.heads() if name in names) for side in sides]
    return {name: tuple(count[name] for count in counts) for name in sorted(names)}


@contextmanager
def open_single(name: str, keys: Container[Key]) -> Iterator[Callable[[Key], JsonObject | None]]:
    """Open the transcripts of a run, or a transcripts file, and yield a function that reads a transcript by its key.

    Memory holds the offsets of the transcripts in `keys`. The function returns None for other keys, and for
    transcripts that don't exist.
    """
    path = Path(name) if Path(name).is_file() else Run.read(name).path / TRANSCRIPTS
    places: dict[Key, int] = {}
    with path.open("rb") as stream:
        offset = 0
        for line in stream:
            with suppress(ValueError, KeyError, TypeError):  # the comparison has already reported invalid lines
                one = parse_line(line)
                if (key := (one["id"], one["repeat"])) in keys:
                    places[key] = offset
            offset += len(line)

        def find(key: Key) -> JsonObject | None:
            if key not in places:
                return None
            stream.seek(places[key])
            return dict(parse_line(stream.readline()))

        yield find


def _text(string: bytes) -> str:
    """Parse a JSON string."""
    return str(parse_line(string)) if b"\\" in string else string[1:-1].decode()
