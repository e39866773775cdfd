"""Trace a run with OpenTelemetry: one root span per query, above the spans that both SDKs create.

Telemetry consumes the events of a run like any other consumer. In addition it must know when a query begins, since a
span has to exist before it can have children.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Protocol

from mcprun.runs.events import AttemptRef, Emit, Event
from mcprun.runs.run_record import ModelRecord


class Telemetry(Protocol):
    """The interface through which a run is traced."""

    def running(self, emit: Emit) -> AbstractAsyncContextManager[None]:
        """Trace a run for the duration of the context. Emits a warning if spans could not be delivered."""
        ...

    def query(self, query: str, repeat: int) -> AbstractContextManager[None]:
        """Trace a query: spans that are created in the context belong to it."""
        ...

    def batch(self, batch: str | None = None) -> AbstractContextManager[Callable[[AttemptRef], None]]:
        """Trace the requests for a Message Batch, with its id if known. The yielded function links a query to it."""
        ...

    def handle(self, event: Event) -> None:
        """Record an event."""
        ...

    def trace_id(self, where: AttemptRef) -> str | None:
        """Return the id of a query's trace in hexadecimal, while the query is running."""
        ...


class NoTelemetry:
    """Telemetry that records nothing."""

    def running(self, _: Emit) -> AbstractAsyncContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def query(self, _: str, __: int) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def batch(self, _: str | None = None) -> AbstractContextManager[Callable[[AttemptRef], None]]:
        """Do nothing."""
        return nullcontext(lambda _: None)

    def handle(self, _: Event) -> None:
        """Do nothing."""

    def trace_id(self, _: AttemptRef) -> str | None:
        """Return None: there is no trace."""
        return None


def open_telemetry(model: ModelRecord, clean: Callable[[str], str]) -> Telemetry:
    """Create telemetry that exports spans as the variables `OTEL_*` configure it. `clean` redacts secrets in all text.

    Raises `UsageError` if OpenTelemetry is not installed, or if the variables select an unsupported protocol.
    """
    from mcprun.telemetry.export import open_exporter
    from mcprun.telemetry.spans import Spans

    return Spans(open_exporter(clean), model)
