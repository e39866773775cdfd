"""What a run that goes on has to know of each transcript, read in a fifth of the time that all of it takes."""

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
    """The part of a `Transcript` by which it is found, kept and counted. The rest is only seen to be JSON."""

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
        """Whether there is anything in it of which nobody knows without it."""
        return self.verdict is not Verdict.SKIPPED or bool(self.turns or self.calls)

    @property
    def diverged(self) -> int:
        """Count as `Transcript.diverged` does."""
        return sum(call.diverged for call in self.calls) + bool(self.given and self.given.diverged)
