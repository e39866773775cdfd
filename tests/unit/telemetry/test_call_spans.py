"""The spans of tool calls: those of the model, and those of steps."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer

from mcprun.telemetry.export import CallSpans

STEP: Mapping[str, str | int] = {"mcprun.step.phase": "before", "mcprun.step.number": 0}


class Kept(SpanProcessor):
    """Keeps the spans that have ended."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Ignore the start of a span."""

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def calls(kept: Kept) -> CallSpans:
    return CallSpans(kept)


@pytest.fixture
def tracer(calls: CallSpans) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(calls)
    return provider.get_tracer("mcp")


def send(tracer: Tracer, tool: str, status: Status | None = None) -> None:
    """Start and end the span of a call as the MCP SDK does."""
    with tracer.start_as_current_span(
        f"MCP send tools/call {tool}", kind=SpanKind.CLIENT, attributes={"mcp.method.name": "tools/call"}
    ) as span:
        if status:
            span.set_status(status)


def test_a_call_of_the_model_executes_a_tool(kept: Kept, calls: CallSpans, tracer: Tracer) -> None:
    """Its span is passed on once its outcome is known."""
    send(tracer, "add")
    assert kept.spans == []
    calls.release_current("tool_error")
    (span,) = kept.spans
    assert span.attributes == {
        "mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "add",
        "error.type": "tool_error",
    }  # fmt: skip
    assert span.status.status_code is StatusCode.ERROR


def test_a_call_of_a_step_executes_no_tool_of_the_model(kept: Kept, calls: CallSpans, tracer: Tracer) -> None:
    """It keeps the attributes of MCP, and its status."""
    send(tracer, "create")
    calls.release_current(None, STEP)
    send(tracer, "create")
    calls.release_current("tool_error", STEP)
    ok, failed = kept.spans
    assert ok.attributes == {"mcp.method.name": "tools/call", "gen_ai.tool.name": "create", **STEP}
    assert failed.attributes == {**ok.attributes, "error.type": "tool_error"}
    assert [one.status.status_code for one in kept.spans] == [StatusCode.UNSET, StatusCode.ERROR]


def test_each_time_that_a_step_is_sent_is_a_span_of_the_step(kept: Kept, calls: CallSpans, tracer: Tracer) -> None:
    """Only the last one has the outcome; the SDK marks those that failed by a JSON-RPC error."""
    send(tracer, "create", Status(StatusCode.ERROR, "-32000"))
    send(tracer, "create")
    calls.release_current("tool_error", STEP)
    first, last = kept.spans
    assert "gen_ai.operation.name" not in {**(first.attributes or {}), **(last.attributes or {})}
    assert [(one.attributes or {}).get("error.type") for one in kept.spans] == [None, "tool_error"]
    assert first.status.description == "-32000"


def test_calls_of_other_contexts_are_held(kept: Kept, calls: CallSpans, tracer: Tracer) -> None:
    """Calls of a turn run concurrently, each in a context of its own."""
    one, other = copy_context(), copy_context()
    one.run(send, tracer, "add")
    other.run(send, tracer, "sub")
    other.run(calls.release_current, None)
    assert [span.name for span in kept.spans] == ["MCP send tools/call sub"]
    calls.release()
    assert [span.name for span in kept.spans] == ["MCP send tools/call sub", "MCP send tools/call add"]
