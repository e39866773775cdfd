"""A run as CSV (RFC 4180) for spreadsheets and data frames: one row for each repeat of a query."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from mcprun.report.data import RunData
from mcprun.report.excerpt import causes
from mcprun.report.fault_isolation import render
from mcprun.report.text import one_line, visible
from mcprun.runs.transcript import Transcript, Usage

COLUMNS = (
    "id", "repeat", "verdict", "stop", "seconds", "attempts", "turns", "calls", "tool_errors", "diverged",
    "tokens_in", "tokens_out", "model", "cause",
)  # fmt: skip
"""The columns. `seconds` and the tokens are empty if unknown; `tokens_in` includes cached tokens."""

_CAUSE = 1000
"""Maximum number of characters of a cause."""

_FORMULA = ("=", "+", "-", "@", "\t")
"""First characters that make a spreadsheet read a cell as a formula (OWASP, "CSV injection")."""


def table(facts: RunData) -> str:
    """Return a run as CSV with a header row. Text that could be read as a formula is prefixed with an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for transcript in facts.transcripts():
        writer.writerow(render(transcript, lambda one: [_cell(value) for value in _row(one, facts)]))
    return buffer.getvalue()


def _row(transcript: Transcript, facts: RunData) -> Iterator[object]:
    seconds = facts.durations.get((transcript.id, transcript.repeat))
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
