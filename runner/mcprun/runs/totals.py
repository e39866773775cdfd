"""Totals of a run: its transcripts by verdict, and its billed model replies."""

from __future__ import annotations

from typing import NamedTuple

from mcprun.runs.run_record import Counts
from mcprun.runs.transcript import Transcript, TranscriptSummary, Usage, Verdict


class RunTotals:
    """Running totals over transcripts, shared by the writer and the readers of a run."""

    def __init__(self) -> None:
        self._verdicts = dict.fromkeys(Verdict, 0)
        self._calls = self._tool_errors = self._diverged = self._turns = 0
        self._ungraded = 0
        self._usage: Usage | None = None

    def add(self, transcript: Transcript | TranscriptSummary) -> None:
        """Add a transcript to the totals."""
        self._verdicts[transcript.verdict] += 1
        self._ungraded += transcript.is_ungraded
        self._calls += len(transcript.calls)
        self._tool_errors += sum(call.is_error for call in transcript.calls)
        self._diverged += transcript.diverged
        self._turns += len(transcript.turns)
        if transcript.usage:
            self._usage = (self._usage or Usage()) + transcript.usage

    @property
    def turns(self) -> int:
        """The number of model replies in the transcripts."""
        return self._turns

    @property
    def failures(self) -> int:
        """The number of queries that failed or ended in an error."""
        return self._verdicts[Verdict.FAILED] + self._verdicts[Verdict.ERROR]

    def counts(self) -> Counts:
        """Return the totals so far."""
        return Counts(
            **{verdict.value: count for verdict, count in self._verdicts.items()},
            ungraded=self._ungraded,
            calls=self._calls,
            tool_errors=self._tool_errors,
            diverged=self._diverged,
            turns=self._turns,
            usage=self._usage,
        )


class BilledReply(NamedTuple):
    """A billed reply: the model, its tokens if reported, and whether it came from a Message Batch."""

    model: str
    usage: Usage | None
    is_batched: bool = False


def cached_share(usage: Usage) -> float:
    """Return the share of the input, from 0 to 1, that was read from the prompt cache."""
    return usage.cache_read_input_tokens / usage.read if usage.read else 0.0
