"""The timeline of a query as compact JSON, for `waterfall.js` to draw. Pure."""

from __future__ import annotations

from mcprun._util.json_value import JsonObject
from mcprun.report.timeline import timeline
from mcprun.report.timings import STEPS, QueryTimes

KINDS = ("attempt", "idle", "prompt", "read", "model", "wait", "call", "judge", *STEPS)
"""Kinds of spans in the order of their numbers, as in `waterfall.js`."""

MAX_TIMELINES = 2_000
"""Maximum number of queries of a run whose page holds all timelines.

The page of a larger run holds those of queries that did not pass, and of the slowest.
"""

LEFT_OUT = 1
"""The timeline of a query that passed in a run of more than `MAX_TIMELINES`."""


def waterfall(times: QueryTimes | None) -> JsonObject | int | None:
    """Return a query's timeline: None if it has none, `LEFT_OUT` if the run is too large to keep it.

    `spans` are lists: number of the kind, start and length in ms, attempt, turn, call, index of the label, and the
    problem. Those at the end that have their default are omitted: attempt 1, `null`, `null`, -1 and "". `parts` are the
    milliseconds of `timeline.PARTS`.
    """
    if times is None or not (times.spans or times.is_left_out):
        return None
    if times.is_left_out:
        return LEFT_OUT
    shown = timeline(times)
    labels: dict[str, int] = {}
    spans = []
    for span in shown.spans:
        label = labels.setdefault(span.label, len(labels)) if span.label and span.kind != "model" else -1
        cells = [
            KINDS.index(span.kind), _ms(span.start), _ms(span.seconds), span.attempt, span.turn, span.call, label,
            span.problem,
        ]  # fmt: skip
        for default in ("", -1, None, None, 1):
            if cells[-1] != default:
                break
            cells.pop()
        spans.append(cells)
    more = {"unlisted": shown.unlisted, "dropped": shown.dropped}
    return {
        "spans": spans,
        "labels": list(labels),
        "ms": _ms(shown.seconds),
        "parts": [_ms(seconds) for seconds in shown.parts],
        **{name: count for name, count in more.items() if count},
    }


def _ms(seconds: float) -> float | int:
    """Return milliseconds, with as many digits as can be seen."""
    milliseconds = seconds * 1000
    rounded = round(milliseconds, 3 if milliseconds < 1 else 1 if milliseconds < 100 else 0)
    return int(rounded) if rounded == int(rounded) else rounded
