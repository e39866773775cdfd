"""Export spans to a collector over OTLP/HTTP, with secrets redacted and without delaying the run.

Everything is configured by the variables of the OpenTelemetry specification
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). A process that has a tracer
provider of its own, such as a program that uses the Python interface, keeps it, and mcprun's spans go there too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache

from mcprun._version import __version__
from mcprun.errors import UsageError

try:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.trace import ProxyTracerProvider, Status, StatusCode
    from opentelemetry.util.types import Attributes, AttributeValue
except ImportError:
    raise UsageError("--otel needs OpenTelemetry: pip install 'mcprun[otel]'") from None

_FLUSH_SECONDS = 5.0
"""Seconds that the end of a run waits for the collector."""

_MAX_CHARACTERS = 4096
"""Maximum characters of a text in a span: servers' error messages may be long."""

_MAX_INTEGER = 2**63 - 1
"""The largest integer of OTLP. A larger one fails the export of all spans that are sent with it."""

_OTLP = "http/protobuf"

_CALL = "tools/call"


@dataclass(frozen=True, slots=True)
class Exporting:
    """A tracer and its exporter. `outlet` is None if the process has a tracer provider of its own."""

    tracer: trace.Tracer
    outlet: Outlet | None = None


class Outlet(SpanExporter):
    """Exports spans without secrets, and counts those that were lost. `why` is the first reason.

    `calls` is the span processor that feeds this exporter.
    """

    def __init__(self, inner: SpanExporter) -> None:
        self.cleaners: list[Callable[[str], str]] = []
        self.lost = 0
        self.why = ""
        self._inner = inner
        self._processor = BatchSpanProcessor(self)
        self.calls = CallSpans(self._processor)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans to the collector. OpenTelemetry calls this in a thread of its own."""
        try:
            result = self._inner.export([self._redact_span(span) for span in spans])
        except Exception as error:  # noqa: BLE001  older exporters let network errors through
            self.why = self.why or self.clean(str(error))
            result = SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Shut down the inner exporter."""
        self._inner.shutdown()

    async def flush(self) -> bool:
        """Send the remaining spans. Return False if that takes too long; they may then arrive later, or never."""
        self.calls.release()
        done = threading.Event()

        def send() -> None:
            self._processor.force_flush()  # it ignores its own timeout
            done.set()

        threading.Thread(target=send, name="otel-flush", daemon=True).start()
        return await asyncio.to_thread(done.wait, _FLUSH_SECONDS)

    def clean(self, text: str) -> str:
        """Redact secrets in a text, and truncate it."""
        for cleaner in self.cleaners:
            text = cleaner(text)
        text = text.encode("utf-8", "replace").decode()  # a lone surrogate fails the export of all spans sent with it
        return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"

    def _redact_span(self, span: ReadableSpan) -> ReadableSpan:
        status = span.status
        return _copy(
            span,
            self._attributes(span.attributes),
            Status(status.status_code, self.clean(status.description)) if status.description else status,
            self.clean(span.name),
            [Event(one.name, self._attributes(one.attributes), one.timestamp) for one in span.events],
        )

    def _attributes(self, attributes: Attributes) -> Mapping[str, AttributeValue]:
        return {name: self._attribute(value) for name, value in (attributes or {}).items()}

    def _attribute(self, value: AttributeValue) -> AttributeValue:
        if isinstance(value, str):
            return self.clean(value)
        return min(value, _MAX_INTEGER) if isinstance(value, int) else value


_OPERATION = "gen_ai.operation.name"

_current_calls: ContextVar[tuple[int, ...]] = ContextVar("_current_calls", default=())
"""The span ids of the last tool call that was started in this context, one for each time that it was sent."""


class CallSpans(SpanProcessor):
    """Completes the MCP SDK's spans of tool calls, and passes all spans on to the processor `inner`.

    A call's span gets the attributes of the conventions for generative AI when it starts. The SDK ends it before the
    result has been examined, so it is held until its outcome is known. A span that has ended can't be changed, so one
    that failed, or that belongs to a step, is replaced by a copy.
    """

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner
        self._held: dict[int, ReadableSpan] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the attributes of a call's span."""
        self._inner.on_start(span, parent_context)
        if _is_call(span):
            tool = span.name.partition(f"{_CALL} ")[2]
            span.set_attributes({_OPERATION: "execute_tool", "gen_ai.tool.name": tool})
            _current_calls.set((*_current_calls.get(), _id_of(span)))

    def on_end(self, span: ReadableSpan) -> None:
        """Hold the span of a call, and pass on any other."""
        if _is_call(span):
            self._held[_id_of(span)] = span
        else:
            self._inner.on_end(span)

    def release_current(self, error: str | None, step: Mapping[str, AttributeValue] | None = None) -> None:
        """Pass on the spans of the last call in this context, the last one marked as failed if `error` is its type.

        A call was sent several times if it was retried. `step` are the attributes of the step that made the call; it is
        then no `execute_tool` operation, since no model asked for it.
        """
        *earlier, last = _current_calls.get() or (0,)
        _current_calls.set(())
        for id_ in (*earlier, last):
            if span := self._held.pop(id_, None):
                made = _as_step(span, step) if step is not None else span
                has_error = span.status.status_code is StatusCode.ERROR  # set by the SDK: the code of a JSON-RPC error
                self._inner.on_end(_mark_failed(made, error) if error and id_ == last and not has_error else made)

    def release(self, trace_id: int | None = None) -> None:
        """Pass on all spans of a trace that are still held, or those of all traces."""
        for span_id, span in list(self._held.items()):
            if trace_id is None or (span.context and span.context.trace_id == trace_id):
                del self._held[span_id]
                self._inner.on_end(span)

    def shutdown(self) -> None:
        """Pass on all held spans, and shut down `inner`."""
        self.release()
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export the spans that have been passed on."""
        return self._inner.force_flush(timeout_millis)


def _is_call(span: ReadableSpan) -> bool:
    """Return whether a span belongs to a client's `tools/call`."""
    return span.kind is trace.SpanKind.CLIENT and (span.attributes or {}).get("mcp.method.name") == _CALL


def _id_of(span: ReadableSpan) -> int:
    """Return the id of a span, 0 if it has no context (`ReadableSpan.context` is optional)."""
    return span.context.span_id if span.context else 0


def _as_step(span: ReadableSpan, step: Mapping[str, AttributeValue]) -> ReadableSpan:
    """Return a copy of a call's span with the attributes of a step."""
    kept = {name: value for name, value in (span.attributes or {}).items() if name != _OPERATION}
    return _copy(span, {**kept, **step}, span.status)


def _mark_failed(span: ReadableSpan, error: str) -> ReadableSpan:
    """Return a copy of a span, marked as failed with an error type."""
    return _copy(span, {**(span.attributes or {}), "error.type": error}, Status(StatusCode.ERROR, error))


def _copy(
    span: ReadableSpan,
    attributes: Attributes,
    status: Status,
    name: str | None = None,
    events: Sequence[Event] | None = None,
) -> ReadableSpan:
    return ReadableSpan(
        name=span.name if name is None else name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=span.events if events is None else events,
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


class _Log(logging.Handler):
    """Keeps the first warning that OpenTelemetry logs, which would otherwise go to stderr."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(logging.WARNING)
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        self._outlet.why = self._outlet.why or self._outlet.clean(record.getMessage())


def open_exporter(clean: Callable[[str], str]) -> Exporting:
    """Return a tracer whose spans are exported, with their text redacted by `clean`.

    Raises `UsageError` for any OTLP protocol except `http/protobuf`.
    """
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := os.environ.get(name):
            if protocol != _OTLP:
                raise UsageError(f"--otel supports only {_OTLP}, but {name} is {protocol}")
            break
    outlet = None if _has_own_provider() else _outlet()
    if outlet:
        outlet.cleaners.append(clean)
        outlet.lost, outlet.why = 0, ""
    return Exporting(trace.get_tracer("mcprun", __version__), outlet)


_outlets: list[Outlet] = []
"""The outlet of this process, if it exists: a process can set its tracer provider only once."""


def _has_own_provider() -> bool:
    return not _outlets and not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


@cache
def _outlet() -> Outlet:
    """Set up OpenTelemetry, once per process."""
    outlet = Outlet(OTLPSpanExporter())
    resource = Resource.create({"service.name": "mcprun", "service.version": __version__})
    provider = TracerProvider(resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(outlet.calls)
    logging.getLogger("opentelemetry").addHandler(_Log(outlet))
    trace.set_tracer_provider(provider)
    _outlets.append(outlet)
    return outlet
