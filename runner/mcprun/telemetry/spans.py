"""Create the spans of a run: one for the run itself, which connections belong to, and the root of a trace per query.

Names are those of the semantic conventions for generative AI (`invoke_agent`, `gen_ai.*`) and for MCP (`mcp.*`), as in
the package opentelemetry-semantic-conventions; `mcprun.*` covers what they do not define. Model requests and calls are
spans of the SDKs below the root: the SDKs use the current context of the requesting task. Spans contain no prompts,
answers or results.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    format_trace_id,
    get_current_span,
    use_span,
)

from mcprun.runs.events import (
    AttemptEnd,
    AttemptRef,
    BatchSent,
    Emit,
    Event,
    QueryEnd,
    Retry,
    ServerStart,
    Step,
    ToolCall,
    WarningEvent,
)
from mcprun.runs.run_record import ModelRecord
from mcprun.runs.transcript import Transcript
from mcprun.telemetry.export import Exporting

_PROVIDERS = {
    "claude": "anthropic",
    "bedrock": "aws.bedrock",
    "vertex": "gcp.vertex_ai",
    "foundry": "anthropic",
}
"""`gen_ai.provider.name`, as the anthropic SDK sets it. Scripts and recordings have no provider."""

_AGENT, _BATCH = "mcprun", "mcprun message_batch"

_BATCH_ID = "mcprun.batch.id"


class Spans:
    """Creates the spans of a run, and records the outcome of each query; implements `Telemetry`."""

    def __init__(self, exporting: Exporting, model: ModelRecord) -> None:
        self._tracer, self._outlet = exporting.tracer, exporting.outlet
        self._model = model
        self._run: Span | None = None
        self._protocol: str | None = None
        self._open: dict[tuple[str, int], Span] = {}
        provider = _PROVIDERS.get(model.kind)
        self._provider = {"gen_ai.provider.name": provider} if provider else {}

    @asynccontextmanager
    async def running(self, emit: Emit) -> AsyncIterator[None]:
        """Create the run's span. At its end, send the remaining spans within a bound, and warn if any were lost."""
        try:
            with self._tracer.start_as_current_span("mcprun batch") as span:
                self._run = span
                yield
        finally:
            if self._outlet:
                is_sent = await self._outlet.flush()
                if self._outlet.lost or not is_sent:
                    problem = f"{self._outlet.lost:,} spans were lost" if is_sent else "the collector did not respond"
                    emit(WarningEvent(message=f"--otel: {problem}: {self._outlet.why}".removesuffix(": ")))

    @contextmanager
    def query(self, query: str, repeat: int) -> Iterator[None]:
        """Create the root span of a query, and make it current."""
        span = self._tracer.start_span(
            f"invoke_agent {_AGENT}",
            context=Context(),  # a trace of its own
            kind=SpanKind.INTERNAL,
            links=[Link(self._run.get_span_context())] if self._run else [],
            attributes={
                "gen_ai.operation.name": "invoke_agent",
                "gen_ai.agent.name": _AGENT,
                "mcprun.query.id": query,
                "mcprun.query.repeat": repeat,
            },
        )
        span.set_attributes(self._provider)
        if self._protocol:
            span.set_attribute("mcp.protocol.version", self._protocol)
        self._open[query, repeat] = span
        try:
            with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
                yield
        finally:
            del self._open[query, repeat]
            if self._outlet:
                self._outlet.calls.release(span.get_span_context().trace_id)

    @contextmanager
    def batch(self, batch: str | None = None) -> Iterator[Callable[[AttemptRef], None]]:
        """Create a span in the current trace, the run's. The yielded function links it to a query's span."""
        with self._tracer.start_as_current_span(
            _BATCH, attributes=self._provider, record_exception=False, set_status_on_exception=False
        ) as span:
            if batch:
                span.set_attribute(_BATCH_ID, batch)

            def link(where: AttemptRef) -> None:
                if query := self._open.get((where.query, where.repeat)):
                    span.add_link(query.get_span_context())

            yield link

    def handle(self, event: Event) -> None:
        """Record an event on the span that it belongs to."""
        if isinstance(event, ServerStart):
            self._protocol = event.protocol
        if isinstance(event, BatchSent):
            get_current_span().set_attributes({_BATCH_ID: event.batch, "mcprun.batch.requests": event.size})
        if isinstance(event, ToolCall) and self._outlet:
            self._outlet.calls.release_current(_call_error(event))
        if isinstance(event, Step) and event.skipped is None and self._outlet:
            self._outlet.calls.release_current(_call_error(event), _step_attributes(event))
        span = self._open.get((event.where.query, event.where.repeat)) if event.where else None
        if not span:
            return
        match event:
            case Retry():
                span.add_event("retry", {"error.type": _kind(event.error), "mcprun.wait": event.wait})
            case AttemptEnd(where=AttemptRef(attempt=attempt)):
                span.add_event("attempt_end", {"mcprun.attempt": attempt, "mcprun.stop": event.stop})
            case QueryEnd():
                _end_span(span, event.transcript)

    def trace_id(self, where: AttemptRef) -> str | None:
        """Return the id of a running query's trace, or None if OpenTelemetry is disabled (`OTEL_SDK_DISABLED`)."""
        span = self._open.get((where.query, where.repeat))
        context = span.get_span_context() if span else None
        return format_trace_id(context.trace_id) if context and context.is_valid else None


def _end_span(span: Span, transcript: Transcript) -> None:
    """Record how a query ended. A check that does not hold is not an error: the query was completed."""
    span.set_attributes(
        {
            "gen_ai.request.model": transcript.model,
            "mcprun.verdict": str(transcript.verdict),
            "mcprun.stop": transcript.stop,
            "mcprun.attempts": transcript.attempts,
            "mcprun.calls": len(transcript.calls),
        }
    )
    if transcript.steps:
        span.set_attribute("mcprun.steps", len(transcript.steps))
    if usage := transcript.usage:
        span.set_attributes(
            {
                "gen_ai.usage.input_tokens": usage.read,
                "gen_ai.usage.output_tokens": usage.output_tokens,
                "gen_ai.usage.cache_read.input_tokens": usage.cache_read_input_tokens,
            }
        )
    if transcript.error:
        span.set_attribute("error.type", str(transcript.error.kind))
        span.set_status(Status(StatusCode.ERROR, transcript.error.message))


def _step_attributes(event: Step) -> dict[str, str | int]:
    """Return the attributes of a step: its phase, its number in it, and its id if it has one."""
    named = {"mcprun.step.id": event.id} if event.id else {}
    return {"mcprun.step.phase": event.phase, "mcprun.step.number": event.step, **named}


def _call_error(event: ToolCall | Step) -> str | None:
    """Return the `error.type` of a call, of low cardinality. None if it succeeded.

    It is `tool_error` for a result with `isError` (semantic conventions for MCP, "Client").
    """
    return (event.problem or "tool_error").replace(" ", "_") if event.is_error else None


def _kind(error: str) -> str:
    """Return the kind of the error that an event describes, without its message, which may hold content."""
    return error.partition(":")[0]
