"""Totals over the transcripts of a run, counted as they come."""

from __future__ import annotations

from mcprun.runs.outline import TranscriptSummary
from mcprun.runs.records import Counts, Transcript, Usage, Verdict


class RunTotals:
    """Counts transcripts as they come; the end of a run and a later reader use the same sums."""

    def __init__(self) -> None:
        self._verdicts = dict.fromkeys(Verdict, 0)
        self._calls = self._tool_errors = self._diverged = self._turns = 0
        self._usage: Usage | None = None

    def add(self, transcript: Transcript | TranscriptSummary) -> None:
        """Count one more."""
        self._verdicts[transcript.verdict] += 1
        self._calls += len(transcript.calls)
        self._tool_errors += sum(call.is_error for call in transcript.calls)
        self._diverged += transcript.diverged
        self._turns += len(transcript.turns)
        if transcript.usage:
            self._usage = (self._usage or Usage()) + transcript.usage

    @property
    def turns(self) -> int:
        """How many replies of the model the transcripts hold."""
        return self._turns

    @property
    def failures(self) -> int:
        """How many queries were tried to their end and did not pass."""
        return self._verdicts[Verdict.FAILED] + self._verdicts[Verdict.ERROR]

    def counts(self) -> Counts:
        """Give the totals so far."""
        return Counts(
            **{verdict.value: count for verdict, count in self._verdicts.items()},
            calls=self._calls,
            tool_errors=self._tool_errors,
            diverged=self._diverged,
            turns=self._turns,
            usage=self._usage,
        )
