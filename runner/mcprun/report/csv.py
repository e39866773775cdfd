"""A run as CSV (RFC 4180) for spreadsheets and data frames: one row for each repeat of a query."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from mcprun.report.causes import skip_reason
from mcprun.report.data import RunData
from mcprun.report.fault_isolation import render
from mcprun.report.text import one_line, visible
from mcprun.runs.transcript import Transcript, Usage, Verdict

COLUMNS = (
    "id", "repeat", "verdict", "stop", "seconds", "attempts", "turns", "calls", "tool_errors", "diverged",
    "tokens_in", "tokens_out", "model", "cause", "baseline", "red",
)  # fmt: skip
"""The columns. `seconds` and the tokens are empty if unknown; `tokens_in` includes cached tokens.

`baseline` is `same`, `changed`, `regressed`, `added` or `removed`, and empty without a baseline. `red` is `true` in
a row that makes the exit code of the run differ from 0.
"""

_CAUSE = 1000
"""Maximum number of characters of a cause."""

_FORMULA = ("=", "+", "-", "@", "\t")
"""First characters that make a spreadsheet read a cell as a formula (OWASP, "CSV injection")."""


def table(facts: RunData) -> str:
    """Return a run as CSV with a header row. Text that could be read as a formula is prefixed with an apostrophe.

    A query that only the baseline has is a row without a verdict. A row without an id concerns the whole run: its
    verdict is `error` if the run is incomplete, and its `baseline` is `regressed` for a breaking change of a tool.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for transcript in facts.transcripts():
        writer.writerow(render(transcript, lambda one: [_cell(value) for value in _row(one, facts)]))
    for cells in _other_rows(facts):
        writer.writerow([_cell((cells | {"red": "true"}).get(name)) for name in COLUMNS])
    return buffer.getvalue()


def _other_rows(facts: RunData) -> Iterator[dict[str, object]]:
    """Yield the cells of rows that are not transcripts of the run."""
    if why := facts.trouble:
        yield {"verdict": "error", "cause": one_line(why, _CAUSE)}
    if against := facts.against:
        for one in against.removed:
            yield {"id": one.id, "repeat": one.repeat, "cause": one.cause, "baseline": one.status}
        for message in against.breaking:
            yield {"cause": one_line(message, _CAUSE), "baseline": "regressed"}


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
    skipped = skip_reason(transcript) if transcript.verdict is Verdict.SKIPPED else ""
    yield one_line(skipped or "; ".join(facts.causes(transcript)), _CAUSE)
    change = facts.change(transcript)
    yield change.status if change else "same" if facts.against else None
    yield "true" if facts.is_red(transcript) else "false"


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(_FORMULA) else visible(value)
