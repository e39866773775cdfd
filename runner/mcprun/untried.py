"""Queries that a run does not come to, and how a conversation stops that no model has ended."""

from __future__ import annotations

from mcprun.errors import ErrorKind, RunError
from mcprun.queries import Query
from mcprun.records import ErrorInfo, Transcript, Verdict


def untried(query: Query, repeat: int, reason: RunError, *, system: str | None, model: str) -> Transcript:
    """Make the transcript of a query that the run did not come to; `system` is that of queries without their own."""
    return Transcript(
        id=query.id,
        repeat=repeat,
        verdict=Verdict.SKIPPED,
        stop=stop_of(reason.kind),
        prompt=query.said,
        system=query.system or system,
        model=query.model or model,
        messages=[],
        calls=[],
        text="",
        checks=[],
        turns=[],
        attempts=0,
        error=ErrorInfo(kind=reason.kind, message=f"not started: {reason}"),
    )


def stop_of(kind: ErrorKind) -> str:
    """Say how a conversation stopped that the model did not end."""
    if kind.endswith("_timeout"):
        return "timeout"
    return "cancelled" if kind is ErrorKind.CANCELLED else "error"
