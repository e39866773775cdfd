"""Timings and timelines: the spans that a trace records, and the time in which nothing ran."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.report.html.waterfall import KINDS, LEFT_OUT, waterfall
from mcprun.report.timeline import PARTS, Timeline, timeline
from mcprun.report.timings import MAX_SPANS, QueryTimes, Span, Timings
from tests.support.runs import JsonObject, event
from tests.support.stepped_runs import closed, step_events


def times_of(*events: JsonObject) -> QueryTimes:
    """Return the times of the query `q`."""
    return Timings.of(events).queries["q", 1]


def spans(shown: Timeline) -> list[tuple[str, str, float, float]]:
    """Return the kind, the label, the start and the length of each span."""
    return [(span.kind, span.label, span.start, span.seconds) for span in shown.spans]


def test_spans_have_their_start_times() -> None:
    """Trace events mark the end of a span, except those of waits, which mark the start."""
    times = times_of(
        event("retry", 200, query="q", turn=0, tried=1, error="throttled: slow down", wait=0.5),
        event("model_call", 1000, query="q", turn=0, seconds=1.0, model="m"),
        event("tool_call", 1300, query="q", turn=0, seconds=0.1, call=1, tool="b"),
        event("tool_call", 1500, query="q", turn=0, seconds=0.5, call=0, tool="a", is_error=True, log_offset=7),
        event("attempt_end", 1500, query="q", seconds=1.5, waited=0.5, stop="end_turn"),
        event("query_end", 1510, query="q", seconds=1.51, verdict="passed", worker=3),
    )
    shown = timeline(times)
    assert spans(shown) == [
        ("attempt", "", 0.0, 1.5),
        ("model", "m", 0.0, 1.0),
        ("wait", "", 0.2, 0.5),
        ("call", "a", 1.0, 0.5),
        ("call", "b", 1.2, 0.1),
    ]
    assert [span.problem for span in shown.spans] == ["", "", "throttled: slow down", "returned an error", ""]
    assert (times.seconds, times.waited, times.log_offset, times.worker) == (1.51, 0.5, 7, 3)


def test_every_event_with_a_duration_has_a_span() -> None:
    """Prompts and resources come before the first turn, the judge after the last one."""
    shown = timeline(
        times_of(
            event("judge_call", 1300, query="q", seconds=0.2, model="judge", rubric="polite"),
            event("call_retry", 900, query="q", turn=0, call=0, server=1, tool="a", problem="busy", wait=0.1),
            event("tool_call", 1100, query="q", turn=0, seconds=0.3, call=0, tool="a"),
            event("model_call", 800, query="q", turn=0, seconds=0.5, model="m"),
            event("resource_read", 300, query="q", seconds=0.1, uri="a://b"),
            event("prompt_get", 200, query="q", seconds=0.2, prompt="greet"),
            event("attempt_end", 1300, query="q", seconds=1.3, waited=0.0, stop="end_turn"),
        )
    )
    assert [span.kind for span in shown.spans if span.kind != "idle"] == [
        "attempt", "prompt", "read", "model", "wait", "call", "judge"
    ]  # fmt: skip
    assert dict(zip(PARTS, shown.parts, strict=True)) == pytest.approx(
        {"model": 0.5, "calls": 0.2, "waiting": 0.1, "steps": 0.0, "idle": 0.0, "other": 0.5}
    )


def test_steps_have_a_part_of_their_own() -> None:
    """Those before the conversation come first, the others last. They are no calls of the tool; skipped ones took none."""
    one = closed()
    skipped = {"phase": "cleanup", "step": 1, "tool": "logout", "skipped": "the session is dead"}
    events = [event("step", 0, query="close", **skipped), *step_events(one)]
    timings = Timings.of(events)
    shown = timeline(timings.queries["close", 1])
    assert [(span.kind, span.label) for span in shown.spans if span.kind != "idle"] == [
        ("attempt", ""), ("before", "create_issue"), ("model", "script"), ("call", "close_issue"), ("model", "script"),
        ("after", "get_issue"), ("after", "issue://log"), ("cleanup", "delete_issue"),
    ]  # fmt: skip
    assert dict(zip(PARTS, shown.parts, strict=True)) == pytest.approx(
        {"model": 0.04, "calls": 0.02, "waiting": 0.0, "steps": 0.08, "idle": 0.0, "other": 0.0}, abs=1e-6
    )
    assert list(timings.tools) == ["close_issue"]


@pytest.mark.parametrize(("waited", "waiting"), [(0.5, 0.0), (0.8, 0.3)])
def test_steps_are_no_waiting(waited: float, waiting: float) -> None:
    """An attempt counts their time as waiting, because its deadline does not run; the rest of that is real waiting."""
    shown = timeline(
        times_of(
            event("step", 500, query="q", phase="before", step=0, tool="a", seconds=0.5),
            event("model_call", 1000, query="q", turn=0, seconds=0.2, model="m"),
            event("attempt_end", 1500, query="q", seconds=1.5, waited=waited, stop="end_turn"),
        )
    )
    assert dict(zip(PARTS, shown.parts, strict=True)) == pytest.approx(
        {"model": 0.2, "calls": 0.0, "waiting": waiting, "steps": 0.5, "idle": 0.8 - waiting, "other": 0.0}
    )


def test_a_step_of_an_unknown_phase_has_no_span() -> None:
    """A trace may have been edited."""
    assert times_of(event("step", 10, query="q", phase="x", step=0, seconds=0.01)).spans == []


def test_time_without_a_span_is_idle() -> None:
    """A gap is listed before the span that follows it, also at the end of an attempt."""
    shown = timeline(
        times_of(
            event("model_call", 1000, query="q", turn=0, seconds=0.9, model="m"),
            event("tool_call", 1500, query="q", turn=0, seconds=0.2, call=0, tool="a"),
            event("model_call", 2000, query="q", turn=1, seconds=0.497, model="m"),
            event("attempt_end", 2400, query="q", seconds=2.4, waited=0.0, stop="end_turn"),
        )
    )
    assert spans(shown) == [
        ("attempt", "", 0.0, 2.4),
        ("idle", "", 0.0, pytest.approx(0.1)),
        ("model", "m", 0.1, 0.9),
        ("idle", "", 1.0, pytest.approx(0.3)),
        ("call", "a", 1.3, 0.2),
        ("model", "m", pytest.approx(1.503), 0.497),
        ("idle", "", 2.0, pytest.approx(0.4)),
    ]
    assert shown.unlisted == 1  # 3 ms before the second turn
    assert shown.parts[PARTS.index("idle")] == pytest.approx(0.803)


def test_a_gap_before_a_step_is_no_wait_for_the_rate_limit() -> None:
    """A step after the conversation is preceded by the checks of the step before it."""
    step = {"query": "q", "phase": "after", "tool": "a", "seconds": 0.5}
    shown = timeline(
        times_of(
            event("model_call", 1000, query="q", turn=0, seconds=1.0, model="m"),
            event("step", 1600, step=0, **step),
            event("attempt_end", 1600, query="q", seconds=1.6, waited=0.6, stop="end_turn"),
        )
    )
    assert [(span.kind, span.label) for span in shown.spans if span.kind in ("wait", "idle")] == [("idle", "")]
    assert shown.parts[PARTS.index("waiting")] == 0.0


def test_a_gap_that_counts_as_waiting_says_what_for() -> None:
    """Before the first span, a query waits for a server; later, for the rate limit. Other gaps stay idle."""
    shown = timeline(
        times_of(
            event("model_call", 2000, query="q", turn=0, seconds=1.0, model="m"),
            event("model_call", 3500, query="q", turn=1, seconds=1.0, model="m"),
            event("model_call", 4900, query="q", turn=2, seconds=1.0, model="m"),
            event("attempt_end", 4900, query="q", seconds=4.9, waited=1.5, stop="end_turn"),
        )
    )
    gaps = [(span.kind, span.label, round(span.seconds, 3)) for span in shown.spans if span.kind in ("wait", "idle")]
    assert gaps == [("wait", "a server", 1.0), ("wait", "the rate limit", 0.5), ("idle", "", 0.4)]
    assert dict(zip(PARTS, shown.parts, strict=True)) == pytest.approx(
        {"model": 3.0, "calls": 0.0, "waiting": 1.5, "steps": 0.0, "idle": 0.4, "other": 0.0}
    )


moments = st.integers(0, 10_000)


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(1, 3), moments, moments, st.none() | st.integers(0, 5)),
        min_size=1,
    )
)
def test_parts_add_up_to_the_whole(made: list[tuple[str, int, int, int, int | None]]) -> None:
    """Whatever the spans, their parts add up, none is negative, and no span of the trace is lost."""
    given = [
        Span(kind, attempt, turn, None, "", start / 1000, length / 1000)
        for kind, attempt, start, length, turn in made
        if kind != "idle"
    ]
    shown = timeline(QueryTimes(1, spans=given))
    assert sum(shown.parts) == pytest.approx(shown.seconds)
    assert min(shown.parts) >= 0
    assert len([span for span in shown.spans if span.kind != "idle"]) == len(given)


def test_a_timeline_in_a_page_is_short() -> None:
    """Defaults at the end of a span are left out, labels are stored once, and times are milliseconds."""
    times = times_of(
        event("model_call", 900, query="q", turn=0, seconds=0.9, model="m"),
        event("tool_call", 950, query="q", turn=0, seconds=0.05, call=0, tool="a"),
        event("tool_call", 951, query="q", turn=0, seconds=0.051, call=1, tool="a", is_error=True),
        event("attempt_end", 951, query="q", seconds=0.951, waited=0.0, stop="end_turn"),
    )
    assert waterfall(times) == {
        "spans": [
            [0, 0, 951],
            [4, 0, 900, 1, 0],
            [6, 900, 50, 1, 0, 0, 0],
            [6, 900, 51, 1, 0, 1, 0, "returned an error"],
        ],
        "labels": ["a"],
        "ms": 951,
        "parts": [900, 51, 0, 0, 0, 0],
    }
    assert waterfall(None) is None
    assert waterfall(QueryTimes(1)) is None
    assert waterfall(QueryTimes(1, is_left_out=True)) == LEFT_OUT


def ended(name: str, at: int, seconds: float, verdict: str) -> list[JsonObject]:
    """Return the events of a query with one turn."""
    return [
        event("model_call", at, query=name, turn=0, seconds=seconds, model="m"),
        event("query_end", at, query=name, seconds=seconds, verdict=verdict),
    ]


def test_spans_of_passed_queries_can_be_left_out() -> None:
    """Those of queries that did not pass, that are asked for, that have not ended, and of the longest are kept."""
    events = [
        *ended("quick", 1000, 0.1, "passed"),
        *ended("longest", 2000, 0.9, "passed"),
        *ended("short", 3000, 0.2, "passed"),
        *ended("regressed", 3000, 0.2, "passed"),
        *ended("red", 4000, 0.1, "failed"),
        *ended("broken", 4000, 0.1, "error"),
        event("model_call", 5000, query="open", turn=0, seconds=0.1, model="m"),
    ]
    timings = Timings.of(events, keeps=lambda key: key == ("regressed", 1))
    assert {key[0] for key, one in timings.queries.items() if one.is_left_out} == {"quick", "short"}
    assert {key[0] for key, one in timings.queries.items() if one.spans} == {
        "longest", "regressed", "red", "broken", "open"
    }  # fmt: skip
    assert [one.seconds for one in timings.queries.values()] == [0.1, 0.9, 0.2, 0.2, 0.1, 0.1, None]


def test_restarts_and_starts_have_their_times() -> None:
    """The page of a run marks when servers were restarted, and when the run was resumed."""
    start = event("run_start", 0, queries=1, done=0)
    timings = Timings.of([start, event("server_restart", 5000, wait=0.5, left=1), event("run_start", 9000)])
    (first, resumed), (restarted,) = timings.started, timings.restarted
    assert (resumed - first, restarted - first, timings.restarts) == (9, 5, 1)


@pytest.mark.parametrize("worker", [-1, 10**9, True, "1", 1.0, None])
def test_a_worker_that_is_no_number_is_unknown(worker: object) -> None:
    """A trace may have been edited, or written by an earlier version."""
    assert times_of(event("query_end", 100, query="q", seconds=0.1, worker=worker)).worker is None


def test_resumed_run_times_a_query_from_its_restart() -> None:
    """Spans that a killed process recorded for the query are dropped."""
    start = event("run_start", 0, queries=1, done=0)
    first = event("model_call", 100, query="q", seconds=0.1)
    resumed = [event("model_call", 90_000, query="q", seconds=0.2), event("query_end", 90_000, query="q", seconds=0.2)]
    query = Timings.of([start, first, start, *resumed]).queries["q", 1]
    assert ([span.seconds for span in query.spans], query.seconds) == ([0.2], 0.2)


def test_spans_are_bounded() -> None:
    """Spans above the limit are only counted."""
    events = (event("tool_call", n, query="q", seconds=0.0, tool="t", call=n) for n in range(MAX_SPANS + 5))
    query = Timings.of(events).queries["q", 1]
    assert (len(query.spans), query.dropped) == (MAX_SPANS, 5)
