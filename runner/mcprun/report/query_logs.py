"""Where in `server.log` the text of each failed call or step is, from the run's trace. Pure.

The trace has the offset at which each call began, and the times of its begin and end. Its text ends at the latest where
a call began that started after it had ended. Calls that ran meanwhile may have written to the same part.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from mcprun._util.json_value import JsonObject
from mcprun.report.causes import failed_call
from mcprun.report.log_excerpt import LogExcerpt, belonging, exception_line, shortened
from mcprun.runs.transcript import Call, Key, StepCall, Transcript, step_name
from mcprun.tools.results import result_text

_BYTES = 65_536
"""Maximum bytes that are read of what was written during a call."""

_NEEDLE = 12
"""Minimum number of characters of a line of a result that identifies an entry of the log."""

_INPUT = 4
"""Minimum number of characters of an input that identifies an entry of the log."""

_FAILED_CALLS = 10
"""Maximum number of failed calls of a query whose places are kept: the last ones of its last attempt."""


_LATER = 100
"""Number of later events of which the least offset counts: times are in milliseconds, so their order may be wrong."""


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A part of `server.log`, in bytes: `end` is None if it ends with the file. `others` is how many other calls ran.

    `tool` and `call` are the failed call: its tool, empty for a prompt or a resource, and its number in the query. Of
    a step, `step` is its name, and `call` is None.
    """

    start: int
    end: int | None
    tool: str
    call: int | None
    others: int
    step: str = ""


@dataclass(frozen=True, slots=True)
class _FailedCall:
    offset: int
    began: float
    ended: float
    tool: str
    call: int | None
    step: str


@dataclass(slots=True)
class QueryLogs:
    """The places in `server.log` of failed calls, by query. Memory holds three numbers for each call of the run."""

    _failed: dict[Key, list[_FailedCall]] = field(default_factory=dict)
    _attempts: dict[Key, tuple[int, int]] = field(default_factory=dict)
    _began: array[float] = field(default_factory=lambda: array("d"))
    _ended: array[float] = field(default_factory=lambda: array("d"))
    _offsets: list[tuple[float, int]] = field(default_factory=list)
    _is_sorted: bool = False
    _round: int = 0

    def add(self, event: JsonObject) -> None:
        """Add an event of the trace."""
        name, offset = event["event"], event.get("log_offset")
        if name == "run_start":
            self._round += 1
        if "query" in event:
            self._begin_attempt((event["query"], event.get("repeat", 1)), event.get("attempt", 1))
        if offset is None:
            return
        ended = datetime.fromisoformat(event["at"]).timestamp()
        is_moment = name in ("server_start", "server_exit")
        began = ended if is_moment else ended - event.get("seconds", 0.0)
        self._offsets.append((began, offset))
        if is_moment or "query" not in event:
            return
        self._began.append(began)
        self._ended.append(ended)
        if event.get("is_error") or (name != "tool_call" and event.get("problem")):
            if event.get("phase") == "cleanup":  # it only warns
                return
            step = step_name(str(event.get("phase")), event.get("step", 0), event.get("id")) if name == "step" else ""
            call = _FailedCall(offset, began, ended, str(event.get("tool") or ""), event.get("call"), step)
            key = (event["query"], event.get("repeat", 1))
            self._failed[key] = [*self._failed.get(key, ()), call][-_FAILED_CALLS:]

    def places(self, key: Key) -> Iterator[LogPlace]:
        """Yield the places of a query's failed calls, the last one first."""
        self._sort()
        for one in reversed(self._failed.get(key, ())):
            at = bisect_left(self._offsets, (one.ended, -1))
            end = min((offset for _, offset in self._offsets[at : at + _LATER]), default=None)
            started = bisect_left(self._began, one.ended)
            finished = bisect_right(self._ended, one.began)
            yield LogPlace(one.offset, end, one.tool, one.call, max(0, started - finished - 1), one.step)

    def _begin_attempt(self, key: Key, attempt: int) -> None:
        """Forget the failed calls of earlier attempts, and of attempts before the run was resumed."""
        if self._attempts.get(key) != (self._round, attempt):
            self._attempts[key] = self._round, attempt
            self._failed.pop(key, None)

    def _sort(self) -> None:
        if not self._is_sorted:
            self._offsets.sort()
            self._began, self._ended = array("d", sorted(self._began)), array("d", sorted(self._ended))
            self._is_sorted = True


def call_log(transcript: Transcript, logs: QueryLogs, read: Callable[[int, int], str]) -> LogExcerpt | None:
    """Return what the servers wrote to stderr during the failed call that makes a query red.

    None if no failed call does, or if nothing was written meanwhile. Of what was written while other calls ran, only
    the entries that contain the call's result or one of its inputs, or else name its tool, are returned, if there are
    any. `read` returns the text of the log from an offset, at most so many bytes.
    """
    place = _red_place(transcript, logs)
    if place is None:
        return None
    size = _BYTES if place.end is None else max(0, min(place.end - place.start, _BYTES))
    text = read(place.start, size).rstrip()
    others = place.others
    if others:
        made = _made(transcript, place)
        identified = belonging(text, _result_lines(made), _inputs(made)) if made else ""
        others = 0 if identified else others
        text = identified or belonging(text, [place.tool]) or text
    if not text.strip():
        return None
    return LogExcerpt(exception_line(text), shortened(text), place.tool, place.call, others)


def _red_place(transcript: Transcript, logs: QueryLogs) -> LogPlace | None:
    """Return the place of the failed call that makes a query red: the last one if none is named."""
    places = list(logs.places((transcript.id, transcript.repeat)))
    unmet = [check for check in transcript.checks if not check.passed]
    if transcript.error:
        return places[0] if places else None
    if any(check.check == "calls" for check in unmet):
        return next((place for place in places if not place.step), None)
    numbers = {failed_call(transcript, check) for check in unmet}
    names = {check.check for check in unmet}
    return next(
        (place for place in places if place.step in names or (place.call is not None and place.call in numbers)), None
    )


def _made(transcript: Transcript, place: LogPlace) -> Call | StepCall | None:
    """Return the call or step of a place; None if the transcript does not have it."""
    if place.step:
        return next((step for step in transcript.steps if step.name == place.step), None)
    return None if place.call is None or place.call >= len(transcript.calls) else transcript.calls[place.call]


def _inputs(made: Call | StepCall) -> list[str]:
    """Return the texts of a call's input that are long enough to identify it."""
    values = made.input.values()
    return [text for value in values if isinstance(value, str) and len(text := value.strip()) >= _INPUT]


def _result_lines(made: Call | StepCall) -> list[str]:
    """Return the lines of a call's result that are long enough to identify it, each also without its prefix."""
    lines = result_text(made.content).splitlines()
    parts = [part for line in lines for part in (line, line.rpartition(": ")[2])]
    return [part.strip() for part in parts if len(part.strip()) >= _NEEDLE]
