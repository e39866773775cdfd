"""Times that a run's trace records: of each query, of its turns and calls, of the tools and of restarts. Pure."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from sys import intern

from mcprun._util.json_value import JsonObject
from mcprun.runs.transcript import Key

MAX_SPANS = 2_000
"""Maximum number of spans kept of one query; 500 turns with three calls each have as many."""

MAX_RUN_SPANS = 200_000
"""Maximum number of spans kept of a run: about 40 MB."""

_MAX_MOMENTS = 1_000
"""Maximum number of restarts of which the time is kept."""

_MAX_WORKERS = 100_000

_KINDS = {
    "model_call": "model", "tool_call": "call", "retry": "wait", "call_retry": "wait", "judge_call": "judge",
    "prompt_get": "prompt", "resource_read": "read", "attempt_end": "attempt",
}  # fmt: skip
"""Trace events that have a span of time, and the kind of each span."""

STEPS = ("before", "after", "cleanup")
"""The kinds of the spans of steps: their phases."""

_LABELS = ("tool", "prompt", "uri", "resource", "model")
"""Fields of an event that its span is named by."""

Keeps = Callable[[Key], bool]
"""Whether the spans of a query that passed are kept."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of time in a query.

    Its `kind` is `attempt`, `model` (a request), `call` (of a tool), `wait` (before a retry), `judge`, `prompt`
    (`prompts/get`), `read` (`resources/read`), or one of `STEPS`. `start` is a Unix timestamp and `seconds` the length.
    `label` names the tool, the prompt, the resource or the model. `problem` is the error, empty if there was none.
    `waited` are the seconds of an attempt that were spent waiting for a rate limit or a server.
    """

    kind: str
    attempt: int
    turn: int | None
    call: int | None
    label: str
    start: float
    seconds: float
    problem: str = ""
    waited: float = 0.0

    @property
    def end(self) -> float:
        """The end of the span, as a Unix timestamp."""
        return self.start + self.seconds


@dataclass(slots=True)
class QueryTimes:
    """Times of a query's most recent execution in the run: its duration and its spans, of which `dropped` are not kept.

    `start` is a Unix timestamp, and `worker` the number of the worker that ran the query; both are None if unknown.
    `waited` is the time spent waiting for rate limits and servers, in seconds. `is_left_out` is set if no spans are
    kept because the query passed. `log_offset` is where the text of the last failed call, or of a prompt or resource
    that could not be read, begins in `server.log`.
    """

    round: int
    seconds: float | None = None
    start: float | None = None
    worker: int | None = None
    waited: float = 0.0
    spans: list[Span] = field(default_factory=list)
    dropped: int = 0
    is_left_out: bool = False
    log_offset: int | None = None


@dataclass(slots=True)
class ToolTimes:
    """All calls of one tool in all attempts: the number of errors, and the duration of each call in seconds."""

    errors: int = 0
    seconds: array[float] = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class Timings:
    """Times from the trace by query and by tool.

    `restarts` counts server restarts; `restarted` holds the Unix timestamps of the first of them, and `started` those
    at which the run was started or resumed. `is_recorded` is false if the trace has no events.
    """

    queries: dict[Key, QueryTimes] = field(default_factory=dict)
    tools: dict[str, ToolTimes] = field(default_factory=dict)
    restarts: int = 0
    restarted: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    is_recorded: bool = False
    _spans: int = 0

    @classmethod
    def of(cls, events: Iterable[JsonObject], keeps: Keeps = lambda _: True) -> Timings:
        """Build the timings from a trace's events. The last execution of a query that a resumed run repeated counts.

        `keeps` returns whether the spans of a query that passed are kept. Those of the longest query are kept, too.
        """
        timings, round_ = cls(), 0
        longest: QueryTimes | None = None
        for event in events:
            timings.is_recorded = True
            name = event["event"]
            if name == "run_start":
                round_ += 1
                _note(timings.started, event)
            elif name == "server_restart":
                timings.restarts += 1
                _note(timings.restarted, event)
            if "query" not in event:
                continue
            one = timings._add(event, round_)
            if name == "query_end" and event.get("verdict") == "passed" and not keeps(_key(event)):
                shorter, longest = sorted((longest, one), key=_length)
                if shorter:
                    timings._leave_out(shorter)
        return timings

    def _add(self, event: JsonObject, round_: int) -> QueryTimes:
        key = _key(event)
        one = self.queries.get(key)
        if one is None or one.round != round_:
            if one:
                self._spans -= len(one.spans)
            one = self.queries[key] = QueryTimes(round_)
        name, seconds = event["event"], float(event.get("seconds", 0.0))
        if name == "query_end":
            one.seconds = seconds
            one.start = _timestamp(event) - seconds
            worker = event.get("worker")
            one.worker = worker if type(worker) is int and 0 <= worker < _MAX_WORKERS else None
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
        if _kind(event):
            if len(one.spans) < MAX_SPANS and self._spans < MAX_RUN_SPANS:
                one.spans.append(_span(event, seconds))
                self._spans += 1
            else:
                one.dropped += 1
        return one

    def _leave_out(self, one: QueryTimes) -> None:
        self._spans -= len(one.spans)
        one.spans, one.dropped, one.is_left_out = [], 0, True


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile `share` (0 to 1) of sorted values by the nearest-rank method."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _length(one: QueryTimes | None) -> float:
    return -1.0 if one is None else one.seconds or 0.0


def _key(event: JsonObject) -> Key:
    return event["query"], event.get("repeat", 1)


def _note(moments: list[float], event: JsonObject) -> None:
    if len(moments) < _MAX_MOMENTS:
        moments.append(_timestamp(event))


def _timestamp(event: JsonObject) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


def _kind(event: JsonObject) -> str:
    """Return the kind of an event's span; empty if it has none, as a step that was skipped."""
    if event["event"] != "step":
        return _KINDS.get(event["event"], "")
    phase = event.get("phase")
    return phase if phase in STEPS and event.get("skipped") is None else ""


def _span(event: JsonObject, seconds: float) -> Span:
    """Return the span of an event. A retry is recorded when its wait begins, any other event when it ends."""
    name, at = event["event"], _timestamp(event)
    wait = event.get("wait", 0.0) if name in ("retry", "call_retry") else None
    return Span(
        kind=_kind(event),
        attempt=event.get("attempt", 1),
        turn=event.get("turn"),
        call=event.get("call"),
        label=intern(next((str(event[key]) for key in _LABELS if event.get(key)), "")),
        start=at if wait is not None else at - seconds,
        seconds=seconds if wait is None else wait,
        problem=_problem(event),
        waited=event.get("waited", 0.0),
    )


def _problem(event: JsonObject) -> str:
    problem = event.get("problem") or event.get("error")
    return str(problem)[:200] if problem else "returned an error" if event.get("is_error") else ""
