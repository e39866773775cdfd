"""Where the time of one query went: its spans in order, its waits, and the time in which nothing ran. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from mcprun.report.timings import STEPS, QueryTimes, Span

PARTS = ("model", "calls", "waiting", "steps", "idle", "other")
"""What a query's time consists of. `other` are the judge, prompts and resources."""

_ORDER = ("attempt", "before", "prompt", "read", "model", "wait", "call", "after", "judge", "cleanup")

_AT_THE_END = frozenset({"after", "judge", "cleanup"})
"""Kinds of spans that come after the last turn."""

_COUNTED = frozenset({"wait", *STEPS})
"""Kinds of spans that an attempt counts as waiting: its deadline does not run meanwhile."""

_SortKey = tuple[int, float, int, int, float, int]

_PART_OF = {
    "wait": "waiting", "model": "model", "call": "calls", "judge": "other", "prompt": "other", "read": "other",
    **dict.fromkeys(STEPS, "steps"),
}  # fmt: skip
"""The part that a span's time belongs to. Of spans at the same time, the first of these kinds counts."""

_RESOLUTION_S = 0.002
"""A shorter time without a span, in seconds, is not noticed: the trace records milliseconds."""

_LISTED_SHARE = 0.002
"""The smallest share of a query's time that idle time must have to be listed."""

SERVER, RATE_LIMIT = "a server", "the rate limit"


@dataclass(frozen=True, slots=True)
class Timeline:
    """The spans of a query, relative to its start, in order of attempt and turn: a model's request before its calls.

    Those of the kind `idle` are times in which no span of the trace ran; if the trace counts them as waiting, their
    kind is `wait` and their `label` says for what. `parts` are the seconds of each of `PARTS`, which add up to
    `seconds`. `unlisted` counts the idle times that are too short to be in `spans`, and `dropped` the spans that were
    not kept.
    """

    spans: tuple[Span, ...]
    seconds: float
    parts: tuple[float, ...]
    unlisted: int
    dropped: int


def timeline(times: QueryTimes) -> Timeline:
    """Return the timeline of a query's spans."""
    if not times.spans:
        return Timeline((), 0.0, (0.0,) * len(PARTS), 0, times.dropped)
    zero = min(span.start for span in times.spans)
    total = max(span.end for span in times.spans) - zero
    gaps = list(_gaps(times.spans))
    listed = [(key, gap) for key, gap in gaps if gap.kind == "wait" or gap.seconds >= _LISTED_SHARE * total]
    ordered = sorted([*((_key(span), span) for span in times.spans), *listed], key=lambda one: one[0])
    return Timeline(
        spans=tuple(
            replace(span, start=round(max(0.0, span.start - zero), 4), seconds=round(span.seconds, 6))
            for _, span in ordered
        ),
        seconds=total,
        parts=_parts(times.spans, sum(gap.seconds for _, gap in gaps if gap.kind == "wait"), total),
        unlisted=len(gaps) - len(listed),
        dropped=times.dropped,
    )


def _parts(spans: Iterable[Span], waited: float, total: float) -> tuple[float, ...]:
    """Return the seconds of each of `PARTS`. `waited` are those without a span that count as waiting."""
    parts = dict.fromkeys(PARTS, 0.0)
    for kind, seconds in _busy(spans):
        parts[_PART_OF[kind]] += seconds
    left = max(0.0, total - sum(parts.values()))
    parts["waiting"] += min(left, waited)
    parts["idle"] = max(0.0, left - waited)
    return tuple(parts.values())


def _key(span: Span) -> _SortKey:
    """Order spans by attempt, turn and kind. The trace has a resolution of milliseconds, too coarse for time alone."""
    turn = span.turn if span.turn is not None else math.inf if span.kind in _AT_THE_END else -1.0
    call = -1 if span.call is None else span.call
    return span.attempt, turn, _ORDER.index(span.kind), call, span.start, 1


def _gaps(spans: Iterable[Span]) -> Iterator[tuple[_SortKey, Span]]:
    """Yield the times of each attempt in which no span ran, with a key that sorts them before the span that follows."""
    for attempt, group in groupby(sorted(spans, key=lambda span: (span.attempt, span.start)), lambda one: one.attempt):
        members = list(group)
        whole = next((span for span in members if span.kind == "attempt"), None)
        work = [span for span in members if span.kind != "attempt"]
        waited = whole.waited - sum(span.seconds for span in work if span.kind in _COUNTED) if whole else 0.0
        at = whole.start if whole else work[0].start
        for span in work:
            if (seconds := span.start - at) >= _RESOLUTION_S:
                is_counted = waited >= 0.9 * seconds
                waited -= seconds if is_counted else 0.0
                # The time between steps counts as waiting, too, but only requests of the model wait for the limit.
                is_wait = is_counted and (span is work[0] or span.kind not in STEPS)
                label = (SERVER if span is work[0] else RATE_LIMIT) if is_wait else ""
                gap = Span("wait" if is_wait else "idle", attempt, span.turn, None, label, at, seconds)
                yield (*_key(span)[:-1], 0), gap
            at = max(at, span.end)
        if whole and whole.end - at >= _RESOLUTION_S:
            yield (attempt, math.inf, len(_ORDER), 0, at, 0), Span("idle", attempt, None, None, "", at, whole.end - at)


def _busy(spans: Iterable[Span]) -> Iterator[tuple[str, float]]:
    """Yield how long spans of each kind ran. Time that several share counts for the first kind of `_PART_OF`."""
    kinds = list(_PART_OF)
    changes = sorted(
        change
        for span in spans
        if span.kind in _PART_OF
        for change in ((span.start, kinds.index(span.kind), 1), (span.end, kinds.index(span.kind), -1))
    )
    running, at = [0] * len(kinds), 0.0
    for moment, kind, step in changes:
        active = next((number for number, count in enumerate(running) if count > 0), None)
        if active is not None and moment > at:
            yield kinds[active], moment - at
        running[kind] += step
        at = moment
