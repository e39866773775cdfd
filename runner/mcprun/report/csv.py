"""A run as CSV (RFC 4180): one row for each repeat of a query, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from mcprun.report.data import RunData
from mcprun.report.excerpt import causes
from mcprun.report.isolated import shown
from mcprun.report.text import one_line, visible
from mcprun.runs.records import Transcript, Usage

COLUMNS = (
    "id", "repeat", "verdict", "stop", "seconds", "attempts", "turns", "calls", "tool_errors", "diverged",
    "tokens_in", "tokens_out", "model", "cause",
)  # fmt: skip
"""The columns; seconds and tokens are empty where they are not known. Tokens in hold those of the cache."""

_CAUSE = 1000
"""Characters of a cause."""

_FORMULA = ("=", "+", "-", "@", "\t")
"""What spreadsheets take for the beginning of a formula (OWASP, "CSV injection")."""


def table(facts: RunData) -> str:
    """Write a run as CSV, names of columns first. Text that would be taken for a formula begins with an apostrophe."""
    told = io.StringIO()
    writer = csv.writer(told)
    writer.writerow(COLUMNS)
    for transcript in facts.transcripts():
        writer.writerow(shown(transcript, lambda one: [_cell(value) for value in _row(one, facts)]))
    return told.getvalue()


def _row(transcript: Transcript, facts: RunData) -> Iterator[object]:
    seconds = facts.seconds.get((transcript.id, transcript.repeat))
    usage: Usage | None = transcript.usage
    yield from (transcript.id, transcript.repeat, str(transcript.verdict), transcript.stop)
    yield f"{seconds:.3f}" if seconds is not None else None
    yield from (transcript.attempts, len(transcript.turns), len(transcript.calls))
    yield sum(call.is_error for call in transcript.calls)
    yield transcript.diverged
    yield from (usage.read, usage.output_tokens) if usage else (None, None)
    yield transcript.model
    yield one_line("; ".join(causes(transcript)), _CAUSE)


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(_FORMULA) else visible(value)
