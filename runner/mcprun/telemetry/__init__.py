"""What a run tells of itself to OpenTelemetry: one root span a query, above those that both SDKs make by themselves.

It listens to the events of a run like any other consumer. All it needs besides is to know when a query begins, since a
span has to be there before others can stand below it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Protocol

from mcprun.runs.events import AttemptRef, Emit, Event
from mcprun.runs.records import ModelRecord


class Telemetry(Protocol):
    """Somebody who may be told."""

    def running(self, emit: Emit) -> AbstractAsyncContextManager[None]:
        """Go with a run; `emit` is told when the spans do not arrive."""
        ...

    def query(self, query: str, repeat: int) -> AbstractContextManager[None]:
        """Go with a query: what is done in the context belongs to it."""
        ...

    def batch(self, batch: str | None = None) -> AbstractContextManager[Callable[[AttemptRef], None]]:
        """Trace a Message Batch (its id, if known): requests for it belong to it. The function links a query to it."""
        ...

    def handle(self, event: Event) -> None:
        """Take an event."""
        ...

    def trace_id(self, where: AttemptRef) -> str | None:
        """Give the id of a query's trace, in hexadecimal, while the query is run."""
        ...


class NoTelemetry:
    """Nobody."""

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
        """There is no trace."""
        return None


def open_telemetry(model: ModelRecord, clean: Callable[[str], str]) -> Telemetry:
    """Make what exports spans as the variables `OTEL_*` say; `clean` takes secrets out of all their text.

    Raises `UsageError` when OpenTelemetry is not installed, or is asked for a protocol that is not.
    """
    from mcprun.telemetry.export import exporting
    from mcprun.telemetry.spans import Spans

    return Spans(exporting(clean), model)
