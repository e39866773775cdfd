"""Serialise the events of a run as the lines that they add to its files."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic_core import to_json

from mcprun._util.json_io import encode
from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun.runs.events import Event, ExchangeEnd, QueryEnd
from mcprun.runs.transcript import Transcript

_MAX_LEVELS = 600
"""Maximum nesting of an event or a transcript. Readers must parse it, and Python's `json` fails near 1,000 levels."""


class EventLines(NamedTuple):
    """The lines of an event, with their newlines: that of the trace, and that of its transcript, if it holds one."""

    trace: bytes
    transcript: bytes = b""

    @classmethod
    def of(cls, event: Event, trace_id: str | None = None) -> EventLines:
        """Serialise an event that occurred now. `trace_id` is the id of the query's OpenTelemetry trace, if it has one.

        Raises `ValueError` if the event or its transcript is nested too deeply.
        """
        line = event.line(now())
        if trace_id:
            line["trace_id"] = trace_id
        transcript = transcript_line(event.transcript) if isinstance(event, QueryEnd | ExchangeEnd) else b""
        return cls(_line(line), transcript)


def transcript_line(transcript: Transcript) -> bytes:
    """Serialise a transcript as a line, with its newline. Raises `ValueError` if it is nested too deeply."""
    return _line(transcript)


def _line(value: Transcript | JsonObject) -> bytes:
    """Serialise a transcript or an event. The limit of Python's `json` for nested values varies by version."""
    try:
        line = to_json(value)
    except ValueError:  # lone surrogates, or more than 255 levels
        line = b""
    if b"NaN" in line or b"Infinity" in line:
        line = b""
    if line and line.count(b"[") + line.count(b"{") <= _MAX_LEVELS:
        return line + b"\n"
    plain = value.line() if isinstance(value, Transcript) else value
    if levels(plain) > _MAX_LEVELS:
        raise ValueError(f"nested more than {_MAX_LEVELS} levels deep")
    return (line or encode(plain)) + b"\n"


def now() -> str:
    """Return the time in UTC as ISO 8601 with milliseconds, the format of all files."""
    second, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(second)}.{milliseconds:03}Z"


@lru_cache(1)
def _second(timestamp: int) -> str:
    """Format a second, in which many events occur."""
    return datetime.fromtimestamp(timestamp, UTC).isoformat().removesuffix("+00:00")
