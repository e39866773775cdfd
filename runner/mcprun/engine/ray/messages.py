"""Collect the events of queries in a worker process, and merge them into the run in the process that writes it.

Each worker numbers its servers, and counts the bytes of their stderr, as if it were the only one. The merger maps both
to the numbers and `server.log` offsets of the run. This module does not depend on how messages are sent.
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
from mcprun.engine.skipped_transcripts import emptied, unrecordable
from mcprun.errors import ErrorKind, RunError, describe
from mcprun.limits import MAX_LOG_BYTES, MAX_NOISE
from mcprun.models.access_policy import Refusal, Source
from mcprun.runs.events import Emit, Event, WarningEvent
from mcprun.runs.redaction import Redactor
from mcprun.runs.transcript import Transcript

_MAX_PIECES = 10_000
"""Pieces of a log that are kept in an `OffsetMap`. An earlier offset is mapped to the start of the oldest piece."""


@dataclass(frozen=True, slots=True)
class WorkerMessage:
    """Everything that happened in a worker since its last message.

    Attributes:
        events: Events, and the servers' stderr as bytes between them, in order.
        transcript: The transcript of the query that was run, if the message is the result of one.
        packed_error: Why the run can't continue, if it can't: the kind, message and stderr of a `RunError`.
        access: The successes and refusals of requests to the model.
    """

    events: tuple[Event | bytes, ...]
    transcript: Transcript | None = None
    packed_error: tuple[ErrorKind, str, str] | None = None
    access: tuple[Source | Refusal, ...] = ()

    @property
    def error(self) -> RunError | None:
        """The `RunError` that `packed_error` describes, or `None`."""
        if self.packed_error is None:
            return None
        kind, message, stderr = self.packed_error
        return RunError(kind, message, stderr=stderr)


class EventBuffer:
    """Collects redacted events of a worker. Its `log` collects the servers' stderr."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._pending: list[Event | bytes] = []
        self.log: ServerLog = _SentLog(redactor, self._pending.append)

    def emit(self, event: Event) -> None:
        """Redact and store an event. One that can't be redacted is replaced by a warning."""
        try:
            self._pending.append(self._redactor.value(event))
        except Exception as error:  # noqa: BLE001  a fault in one event must not affect the others
            self._pending.append(unrecordable(event, self._redactor.text(describe(error))))

    def pack(
        self,
        transcript: Transcript | None = None,
        error: RunError | None = None,
        access: tuple[Source | Refusal, ...] = (),
    ) -> WorkerMessage:
        """Return a message with everything emitted since the last call."""
        _ = self.log.offset  # reads what is left in the servers' pipes
        pending = tuple(self._pending)
        self._pending.clear()
        return WorkerMessage(pending, self._redact(transcript), pack_error(error) if error else None, access)

    def _redact(self, transcript: Transcript | None) -> Transcript | None:
        try:
            return self._redactor.value(transcript)
        except Exception as error:  # noqa: BLE001  a fault in one query must not affect the others
            assert transcript is not None  # noqa: S101  None has nothing to redact
            bare = transcript.model_copy(update={"prompt": "", "system": None})
            return emptied(bare, f"the conversation could not be recorded: {self._redactor.text(describe(error))}")


class EventMerger:
    """Emits the events of one worker process (`number` of `of`, counted from 1) as events of the run.

    Warnings about the whole run are emitted once: `seen_warnings` holds those that any worker has sent.
    """

    def __init__(self, number: int, of: int, log: ServerLog, emit: Emit, seen_warnings: set[str]) -> None:
        self._number, self._of = number, of
        self._log = log
        self._emit = emit
        self._seen_warnings = seen_warnings
        self._servers = self._servers_before = 0
        self._offsets = OffsetMap()

    def take(self, events: tuple[Event | bytes, ...]) -> None:
        """Write the servers' stderr to the log, and emit the events."""
        for item in events:
            if isinstance(item, bytes):
                self._offsets.add(self._log.offset, len(item))
                self._log.write(item.decode("utf-8", "replace"))
            elif not self._is_repeated(item):
                self._emit(self._renumber(item))

    def renew(self) -> None:
        """Reset after the worker was replaced by a new process, which has other servers."""
        self._servers_before, self._offsets = self._servers, OffsetMap()

    def _renumber(self, event: Event) -> Event:
        """Return an event with the server number and `server.log` offset of the run."""
        changes: dict[str, Any] = {}
        names = _field_names(type(event))  # type: ignore[arg-type]  # mypy looks at the hash of an instance
        if "server" in names:
            number = self._servers_before + event.server  # type: ignore[attr-defined]
            self._servers = max(self._servers, number)
            changes["server"] = (number - 1) * self._of + self._number
        if "log_offset" in names:
            offset = self._offsets.find(event.log_offset)  # type: ignore[attr-defined]
            changes["log_offset"] = self._log.offset if offset is None else offset
        return replace(event, **changes) if changes else event

    def _is_repeated(self, event: Event) -> bool:
        if not isinstance(event, WarningEvent) or event.where:
            return False
        if event.message in self._seen_warnings:
            return True
        if len(self._seen_warnings) < MAX_NOISE:
            self._seen_warnings.add(event.message)
        return False


class OffsetMap:
    """Maps offsets in one log to offsets in another, to which it is copied piece by piece."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._shifts: list[int] = []
        self._size = 0

    def add(self, place: int, size: int) -> None:
        """Record that the next piece, of `size` bytes, was copied to offset `place`."""
        shift = place - self._size
        if not self._shifts or self._shifts[-1] != shift:
            self._starts.append(self._size)
            self._shifts.append(shift)
        self._size += size
        if len(self._starts) > _MAX_PIECES:
            del self._starts[: _MAX_PIECES // 2], self._shifts[: _MAX_PIECES // 2]

    def find(self, offset: int) -> int | None:
        """Return the offset to which a byte was copied, or `None` if it has not been copied yet."""
        if offset >= self._size:
            return None
        at = max(0, bisect_right(self._starts, offset) - 1)
        return max(offset, self._starts[at]) + self._shifts[at]


class _SentLog(ServerLog):
    """A log that passes its bytes to `send` instead of a file."""

    def __init__(self, redactor: Redactor, send: Callable[[bytes], None]) -> None:
        super().__init__(Path(os.devnull), redactor, MAX_LOG_BYTES)
        self._send = send

    def _append(self, data: bytes) -> None:
        self._send(data)


def pack_error(error: RunError) -> tuple[ErrorKind, str, str]:
    """Return the kind, message and stderr of an error, as `WorkerMessage.packed_error` holds them."""
    return error.kind, str(error), error.stderr


@cache
def _field_names(kind: type[Event]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))
