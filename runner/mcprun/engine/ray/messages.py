"""What is told of queries that are run in another process: packed there, unpacked where the run is written down.

There, servers are numbered and their stderr is counted as if there was no other such process. Whoever unpacks numbers
them anew, and finds where in `server.log` that stderr has come to stand. Knows nothing of how parcels travel.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from mcprun.client.server_log import ServerLog
from mcprun.engine.skipped import emptied, unrecordable
from mcprun.errors import ErrorKind, RunError, describe
from mcprun.limits import MAX_LOG_BYTES, MAX_NOISE
from mcprun.models.access_policy import Refusal, Source
from mcprun.runs.events import Emit, Event, WarningEvent
from mcprun.runs.records import Transcript
from mcprun.runs.redaction import Redactor

_MOST_PIECES = 10_000
"""Pieces of a log that are remembered; a call that began before the oldest of them is said to begin there."""


@dataclass(frozen=True, slots=True)
class WorkerMessage:
    """All that happened since the last one, in order: events, and between them what the servers said on stderr.

    `transcript` is that of the query that was asked for. `ended` is why the run can't go on, if it can't: the kind,
    the message and the stderr of a `RunError`. `access` holds the successes and refusals of requests to the model.
    """

    told: tuple[Event | bytes, ...]
    transcript: Transcript | None = None
    ended: tuple[ErrorKind, str, str] | None = None
    access: tuple[Source | Refusal, ...] = ()

    @property
    def error(self) -> RunError | None:
        """Give what `ended` says as an error."""
        if self.ended is None:
            return None
        kind, message, stderr = self.ended
        return RunError(kind, message, stderr=stderr)


class EventBuffer:
    """Collects what is told, without what the `redactor` knows as secret; the servers' stderr goes to its `log`."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._told: list[Event | bytes] = []
        self.log: ServerLog = _SentLog(redactor, self._told.append)

    def emit(self, event: Event) -> None:
        """Redact and store an event. One that can't be redacted is replaced by a warning."""
        try:
            self._told.append(self._redactor.value(event))
        except Exception as error:  # noqa: BLE001  one event must not cost the others
            self._told.append(unrecordable(event, self._redactor.text(describe(error))))

    def pack(
        self,
        transcript: Transcript | None = None,
        error: RunError | None = None,
        access: tuple[Source | Refusal, ...] = (),
    ) -> WorkerMessage:
        """Return all that was emitted since the last time."""
        _ = self.log.offset  # what is still in the servers' pipes is read by that
        told = tuple(self._told)
        self._told.clear()
        return WorkerMessage(told, self._redacted(transcript), ended_by(error) if error else None, access)

    def _redacted(self, transcript: Transcript | None) -> Transcript | None:
        try:
            return self._redactor.value(transcript)
        except Exception as error:  # noqa: BLE001  one query must not cost the others
            assert transcript is not None  # noqa: S101  nothing holds nothing
            bare = transcript.model_copy(update={"prompt": "", "system": None})
            return emptied(bare, f"the conversation could not be recorded: {self._redactor.text(describe(error))}")


class EventMerger:
    """Tells of what comes from one process of several (`number`, of so many, counted from 1) as if it happened here.

    Warnings about the whole run that are `known`, since another process told of the same, are not told again.
    """

    def __init__(self, number: int, of: int, log: ServerLog, emit: Emit, known: set[str]) -> None:
        self._number, self._of = number, of
        self._log = log
        self._emit = emit
        self._known = known
        self._servers = self._before = 0
        self._places = OffsetMap()

    def take(self, told: tuple[Event | bytes, ...]) -> None:
        """Write down what the servers said, and tell of the events."""
        for one in told:
            if isinstance(one, bytes):
                self._places.add(self._log.offset, len(one))
                self._log.write(one.decode("utf-8", "replace"))
            elif not self._is_known(one):
                self._emit(self._moved(one))

    def renew(self) -> None:
        """Begin again: the process is another one, whose servers are others."""
        self._before, self._places = self._servers, OffsetMap()

    def _moved(self, event: Event) -> Event:
        """Have an event name the server and the place in `server.log` that are those of the run."""
        changes: dict[str, Any] = {}
        names = _names(type(event))  # type: ignore[arg-type]  # mypy looks at the hash of an instance
        if "server" in names:
            number = self._before + event.server  # type: ignore[attr-defined]
            self._servers = max(self._servers, number)
            changes["server"] = (number - 1) * self._of + self._number
        if "log_offset" in names:
            place = self._places.find(event.log_offset)  # type: ignore[attr-defined]
            changes["log_offset"] = self._log.offset if place is None else place
        return replace(event, **changes) if changes else event

    def _is_known(self, event: Event) -> bool:
        if not isinstance(event, WarningEvent) or event.where:
            return False
        if event.message in self._known:
            return True
        if len(self._known) < MAX_NOISE:
            self._known.add(event.message)
        return False


class OffsetMap:
    """Where the bytes of one log stand in another, to which they were copied piece by piece."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._moved: list[int] = []
        self._size = 0

    def add(self, place: int, size: int) -> None:
        """Note that the next piece, of so many bytes, begins at a place."""
        by = place - self._size
        if not self._moved or self._moved[-1] != by:
            self._starts.append(self._size)
            self._moved.append(by)
        self._size += size
        if len(self._starts) > _MOST_PIECES:
            del self._starts[: _MOST_PIECES // 2], self._moved[: _MOST_PIECES // 2]

    def find(self, offset: int) -> int | None:
        """Say where a byte stands; nothing when it was not copied yet."""
        if offset >= self._size:
            return None
        at = max(0, bisect_right(self._starts, offset) - 1)
        return max(offset, self._starts[at]) + self._moved[at]


class _SentLog(ServerLog):
    """A log whose text is handed on, and stands in no file."""

    def __init__(self, redactor: Redactor, send: Callable[[bytes], None]) -> None:
        super().__init__(Path(os.devnull), redactor, MAX_LOG_BYTES)
        self._send = send

    def _append(self, data: bytes) -> None:
        self._send(data)


def ended_by(error: RunError) -> tuple[ErrorKind, str, str]:
    """Give an error as plain values."""
    return error.kind, str(error), error.stderr


@cache
def _names(kind: type[Event]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))
