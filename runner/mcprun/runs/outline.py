"""The summary of a transcript that resuming a run needs. Parsing it takes a fifth of the time of the whole."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mcprun.runs.records import SCHEMA, Record, Schema, Usage, Verdict


class _CallOutline(Record):
    is_error: bool
    diverged: bool = False


class _GivenOutline(Record):
    diverged: bool = False


class TranscriptSummary(Record):
    """The fields of a `Transcript` that identify and count it. Other keys must be valid JSON and are ignored."""

    schema_: Schema = Field(default=SCHEMA, alias="schema")
    id: str
    repeat: int = 1
    verdict: Verdict
    calls: list[_CallOutline]
    given: _GivenOutline | None = None
    turns: list[Any]
    usage: Usage | None = None

    @property
    def is_begun(self) -> bool:
        """Whether the transcript holds anything that would be lost without it: a verdict, turns or calls."""
        return self.verdict is not Verdict.SKIPPED or bool(self.turns or self.calls)

    @property
    def diverged(self) -> int:
        """The number of divergences, counted like `Transcript.diverged`."""
        return sum(call.diverged for call in self.calls) + bool(self.given and self.given.diverged)
