"""Transcripts of queries that were not run or could not be recorded, and the `stop` of an errored conversation."""

from __future__ import annotations

from dataclasses import replace

from mcprun.errors import ErrorKind, RunError
from mcprun.prompts.query import Query
from mcprun.runs.events import Event, ExchangeEnd, QueryEnd, WarningEvent
from mcprun.runs.transcript import UNGRADED, Check, ErrorInfo, Transcript, Verdict


def skipped_transcript(query: Query, repeat: int, reason: RunError, *, system: str | None, model: str) -> Transcript:
    """Return the transcript of a query that was not run. `system` and `model` are for queries without their own."""
    return Transcript(
        id=query.id,
        repeat=repeat,
        verdict=Verdict.SKIPPED,
        stop=stop_reason_for(reason.kind),
        prompt=query.prompt_value,
        system=query.system or system,
        tags=query.tags,
        metadata=query.metadata,
        expect=query.expectations,
        model=query.model or model,
        messages=[],
        calls=[],
        text="",
        checks=[],
        turns=[],
        attempts=0,
        error=ErrorInfo(kind=reason.kind, message=f"not started: {reason}"),
    )


def ungraded_transcript(query: Query, repeat: int, reason: str, *, system: str | None, model: str) -> Transcript:
    """Return the transcript of a query that a routed run does not grade."""
    ended = RunError(ErrorKind.PROMPTS, reason)
    skipped = skipped_transcript(query, repeat, ended, system=system, model=model)
    check = Check(check="route", passed=True, message=f"not graded: {reason}")
    return skipped.model_copy(update={"stop": UNGRADED, "error": None, "checks": [check]})


def emptied(transcript: Transcript, message: str) -> Transcript:
    """Return a transcript with its conversation removed, the verdict `error`, and an error of kind `fault`."""
    return Transcript(
        id=transcript.id,
        repeat=transcript.repeat,
        verdict=Verdict.ERROR,
        stop=stop_reason_for(ErrorKind.FAULT),
        prompt=transcript.prompt,
        system=transcript.system,
        model=transcript.model,
        messages=[],
        calls=[],
        text="",
        checks=[],
        turns=[],
        attempts=transcript.attempts,
        error=ErrorInfo(kind=ErrorKind.FAULT, message=message),
    )


def unrecordable(event: Event, reason: str) -> Event:
    """Return the event that replaces one whose values can't be redacted or written."""
    if isinstance(event, QueryEnd | ExchangeEnd):
        # The prompt may be the value that can't be redacted.
        bare = event.transcript.model_copy(update={"prompt": "", "system": None})
        return replace(event, transcript=emptied(bare, f"the conversation could not be recorded: {reason}"))
    return WarningEvent(where=event.where, message=f"the event {event.name} could not be recorded: {reason}")


def stop_reason_for(kind: ErrorKind) -> str:
    """Return the `stop` of a conversation that ended with an error: `timeout`, `cancelled` or `error`."""
    if kind.endswith("_timeout"):
        return "timeout"
    return "cancelled" if kind is ErrorKind.CANCELLED else "error"
