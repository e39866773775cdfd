"""The part of `server.log` that belongs to a query: what its server wrote during its last failed call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from mcprun._util.json_value import JsonObject
from mcprun.report.log_excerpt import exception_line
from mcprun.runs.run import Run
from mcprun.runs.transcript import Key, Transcript

_READ = 65_536
"""Maximum number of bytes that are searched for an exception. A traceback of rich takes 10,000 or more."""

_SHOWN = 4_000
"""Maximum number of characters that are shown."""

_BEGINNINGS = frozenset({"tool_call", "prompt_get", "resource_read", "server_start"})
"""Events of requests to a server, and of its start. `log_offset` is where the log ended when they began."""

_OF_CALLS = frozenset({"tool_errors", "calls"})
"""Checks that a failed call can fail."""

Range = tuple[int, int | None]
"""Offsets in `server.log` where a text begins, and where another call begins; None if none began after it."""


@dataclass(frozen=True, slots=True)
class LogExcerpt:
    """Lines of `server.log`, and the one of them that names an exception, which is empty if there is none."""

    text: str
    exception: str = ""


@dataclass(slots=True)
class LogRanges:
    """Finds where the text of each query's last failed call begins and ends in `server.log`.

    A text ends where the next call begins that any query makes after it. Calls that other queries made at the same time
    may have written between its lines. Memory holds a pair of numbers for each query with a failed call.
    """

    ranges: dict[Key, Range] = field(default_factory=dict)
    _open: dict[Key, datetime] = field(default_factory=dict)
    _stale: set[Key] = field(default_factory=set)

    def watch(self, events: Iterable[JsonObject]) -> Iterator[JsonObject]:
        """Yield the events of a trace, and note the ranges."""
        for event in events:
            if event["event"] == "run_start":  # resumed: queries that run again have new calls
                self._stale = set(self.ranges)
            elif self._stale and (key := _key(event)) in self._stale:
                self._stale.discard(key)
                del self.ranges[key]
                self._open.pop(key, None)
            if event["event"] in _BEGINNINGS and "log_offset" in event:
                self._note(event)
            yield event

    def _note(self, event: JsonObject) -> None:
        offset, ended = event["log_offset"], datetime.fromisoformat(event["at"])
        began = ended.timestamp() - event.get("seconds", 0.0)
        for key, end in list(self._open.items()):
            begin, _ = self.ranges[key]
            if began >= end.timestamp() and offset > begin:
                self.ranges[key] = begin, offset
                del self._open[key]
        if "query" in event and (event.get("is_error") or event.get("problem")):
            key = _key(event)
            self.ranges[key] = offset, None
            self._open[key] = ended

    def excerpt(self, run: Run, transcript: Transcript) -> LogExcerpt | None:
        """Return what the server wrote during the failed call that explains a query; None if no such call does."""
        found = self.ranges.get((transcript.id, transcript.repeat))
        if found is None or not explains(transcript):
            return None
        begin, end = found
        text = run.log(begin, _READ if end is None else min(_READ, end - begin))
        return shortened(text) if text.strip() else None


def _key(event: JsonObject) -> Key:
    return event.get("query", ""), event.get("repeat", 1)


def explains(transcript: Transcript) -> bool:
    """Return whether a failed call can be why a query did not pass: by its error, or by a check of calls."""
    return transcript.error is not None or any(
        not check.passed and check.check in _OF_CALLS for check in transcript.checks
    )


def shortened(text: str) -> LogExcerpt:
    """Return the end of a text, from a whole line on; of a long text with an exception, the part that ends with it."""
    exception = exception_line(text)
    end = text.rfind(exception) + len(exception) if exception and len(text) > _SHOWN else len(text)
    part = text[max(0, end - _SHOWN) : end]
    if end > _SHOWN:
        part = part.partition("\n")[2] or part
    return LogExcerpt(part.rstrip(), exception)
