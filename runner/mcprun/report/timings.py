"""Times that a run's trace records: of each query, of its turns and calls, and of the tools. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mcprun._util.json_value import JsonObject
from mcprun.runs.transcript import Key

MAX_SPANS = 300
"""Maximum number of spans kept of one query; with default limits, one attempt has fewer."""

_KINDS = {"model_call": "model", "tool_call": "call", "retry": "wait", "attempt_end": "attempt"}
"""Trace events that have a span of time, and the kind of each span."""


_ORDER = ("attempt", "model", "wait", "call")


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time in a query: an `attempt`, a request to the `model`, a tool `call`, or a `wait` before a retry.

    `start` is a Unix timestamp and `seconds` the length. `label` names the tool or the model. `problem` is the error,
    empty if there was none.
    """

    kind: str
    attempt: int
    turn: int | None
    call: int | None
    label: str
    start: float
    seconds: float
    problem: str = ""


@dataclass(slots=True)
class QueryTimes:
    """Times of a query's most recent execution in the run: its duration and its spans, of which `dropped` are not kept.

    `waited` is the time spent waiting for rate limits and servers, in seconds. `log_offset` is where the text of the
    last failed call, or of a prompt or resource that could not be read, begins in `server.log`.
    """

    round: int
    seconds: float | None = None
    waited: float = 0.0
    spans: list[Span] = field(default_factory=list)
    dropped: int = 0
    log_offset: int | None = None

    def since_start(self) -> Iterator[Span]:
        """Yield the spans relative to the first, by attempt, turn and kind: the model's request before its calls.

        The trace has a resolution of milliseconds, too coarse to sort by time alone.
        """
        zero = min((span.start for span in self.spans), default=0.0)
        for span in sorted(self.spans, key=_sort_key):
            yield replace(span, start=round(span.start - zero, 4), seconds=round(span.seconds, 6))


@dataclass(slots=True)
class ToolTimes:
    """All calls of one tool in all attempts: the number of errors, and the duration of each call in seconds."""

    errors: int = 0
    seconds: array[float] = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class Timings:
    """Times from the trace by query and by tool. `restarts` counts server restarts.

    `is_recorded` is false if the trace has no events.
    """

    queries: dict[Key, QueryTimes] = field(default_factory=dict)
    tools: dict[str, ToolTimes] = field(default_factory=dict)
    restarts: int = 0
    is_recorded: bool = False

    @classmethod
    def of(cls, events: Iterable[JsonObject]) -> Timings:
        """Build the timings from a trace's events. The last execution of a query that a resumed run repeated counts."""
        timings, round_ = cls(), 0
        for event in events:
            timings.is_recorded = True
            name = event["event"]
            if name == "run_start":
                round_ += 1
            elif name == "server_restart":
                timings.restarts += 1
            if "query" in event:
                timings._add(event, round_)
        return timings

    def _add(self, event: JsonObject, round_: int) -> None:
        key = (event["query"], event.get("repeat", 1))
        one = self.queries.get(key)
        if one is None or one.round != round_:
            one = self.queries[key] = QueryTimes(round_)
        name, seconds = event["event"], float(event.get("seconds", 0.0))
        if name == "query_end":
            one.seconds = seconds
        elif name == "attempt_end":
            one.waited += event.get("waited", 0.0)
        elif name == "tool_call":
            tool = self.tools.setdefault(str(event.get("tool")), ToolTimes())
            tool.errors += bool(event.get("is_error"))
            tool.seconds.append(seconds)
            if event.get("is_error"):
                one.log_offset = event.get("log_offset")
        elif name in ("prompt_get", "resource_read") and event.get("problem"):
            one.log_offset = event.get("log_offset")
        if name in _KINDS:
            if len(one.spans) < MAX_SPANS:
                one.spans.append(_span(event, seconds))
            else:
                one.dropped += 1


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile `share` (0 to 1) of sorted values by the nearest-rank method."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _sort_key(span: Span) -> tuple[int, int, int, int, float]:
    turn = -1 if span.turn is None else span.turn
    return span.attempt, turn, _ORDER.index(span.kind), span.call or 0, span.start


def _span(event: JsonObject, seconds: float) -> Span:
    """Return the span of an event. A retry is recorded when its wait begins, any other event when it ends."""
    name, at = event["event"], datetime.fromisoformat(event["at"]).timestamp()
    wait = event.get("wait", 0.0) if name == "retry" else None
    return Span(
        kind=_KINDS[name],
        attempt=event.get("attempt", 1),
        turn=event.get("turn"),
        call=event.get("call"),
        label=str(event.get("tool") or event.get("model") or ""),
        start=at if wait is not None else at - seconds,
        seconds=seconds if wait is None else wait,
        problem=_problem(event),
    )


def _problem(event: JsonObject) -> str:
    problem = event.get("problem") or event.get("error")
    return str(problem)[:200] if problem else "returned an error" if event.get("is_error") else ""
