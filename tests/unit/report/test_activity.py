"""The lines of `--verbose`: one per call, request and retry."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.report.activity import activity
from mcprun.runs.events import (
    AttemptRef,
    CallRetry,
    Event,
    JudgeCall,
    ModelCall,
    Noise,
    PromptGet,
    ResourceRead,
    Retry,
    ServerRequest,
    Step,
    ToolCall,
)
from mcprun.runs.transcript import Usage

SUM = AttemptRef("sum")
PLACE: dict[str, Any] = {"server": 1, "log_offset": 0}
CALL: dict[str, Any] = {"call": 0, "tool": "add", "input": {"a": 2}, "server": 1, "log_offset": 0}


def shown(event: Event) -> str:
    """Return the line of an event without its styles."""
    line = activity(event)
    assert line is not None
    return line.plain


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (ToolCall(where=SUM, seconds=0.004, **CALL), "call    sum #0  add{a: 2}  ok, 4 ms"),
        (ToolCall(where=SUM, seconds=0.004, is_error=True, **CALL), "call    sum #0  add{a: 2}  error, 4 ms"),
        (ToolCall(where=SUM, seconds=60.0, is_error=True, problem="no result in 60 s", **CALL), "call    sum #0  add{a: 2}  error, 1 min 00 s: no result in 60 s"),
        (ToolCall(where=AttemptRef("sum", 3, 2), seconds=1.5, **CALL), "call    sum (3), attempt 2 #0  add{a: 2}  ok, 1.5 s"),
        (CallRetry(where=SUM, server=1, call=0, tool="add", problem="busy", wait=2.0), "retry   sum #0  add  in 2 s: busy"),
        (Retry(where=SUM, tried=1, error="529 overloaded", wait=1.5), "retry   sum try 1  in 1.5 s: 529 overloaded"),
        (Retry(tried=2, error="timed out", wait=1.0), "retry   try 2  in 1 s: timed out"),
        (ModelCall(where=SUM, turn=1, seconds=3.2, model="m", stop_reason="tool_use", usage=Usage(input_tokens=1)), "turn    sum 1 tool_use  ok, 3.2 s"),
        (ModelCall(where=SUM, turn=1, seconds=3.2, model="m", error="api_error: refused"), "turn    sum 1  error, 3.2 s: api_error: refused"),
        (Step(where=SUM, seconds=0.004, phase="before", step=0, id="issue", tool="create", input={"a": 2}, **PLACE), "before  sum create{a: 2}  ok, 4 ms"),
        (Step(where=SUM, seconds=0.004, phase="after", step=1, resource="issue://log", problem="gone", **PLACE), "after   sum read issue://log  error, 4 ms: gone"),
        (Step(where=SUM, phase="cleanup", step=0, tool="delete", input={}, skipped="no value", **PLACE), "cleanup sum delete{}  skipped: no value"),
        (JudgeCall(where=SUM, seconds=1.0, model="m", rubric="is kind"), "judge   sum is kind  ok, 1 s"),
        (PromptGet(where=SUM, seconds=0.5, prompt="greet", arguments={}, server=1, log_offset=0), "prompt  sum greet  ok, 500 ms"),
        (ResourceRead(where=SUM, seconds=0.5, uri="file:///a", problem="gone", server=1, log_offset=0), "read    sum file:///a  error, 500 ms: gone"),
        (ServerRequest(where=SUM, server=1, kind="elicitation", message="Sure?", answer="decline"), "asked   sum elicitation: Sure?  decline"),
    ],
)  # fmt: skip
def test_an_event_is_one_line(event: Event, expected: str) -> None:
    """A line has the kind, the query, what was asked, the outcome and the time, and the reason of an error."""
    assert shown(event) == expected


@pytest.mark.parametrize("event", [Noise(server=1, text="x"), ModelCall(model="script", stop_reason="end_turn")])
def test_other_events_have_no_line(event: Event) -> None:
    """Events that are reported anyway, and turns of scripts and recordings, have no line."""
    assert activity(event) is None


def test_untrusted_text_stays_on_one_short_line() -> None:
    """Controls of ids, inputs and messages are escaped, and long ones are cut."""
    hostile = "a\n\x1b[2J\ud800" + "x" * 10_000
    call = ToolCall(where=AttemptRef(hostile), problem=hostile, **CALL | {"tool": hostile, "input": {"a": hostile}})
    for event in (call, Retry(where=AttemptRef(hostile), tried=1, error=hostile, wait=1.0)):
        line = shown(event)
        assert line.isprintable()
        assert len(line) < 800
