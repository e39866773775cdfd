"""Check that the transcripts of a run that has ended match the counts in its `run.json`."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from pathlib import Path

from mcprun._util.compact_index import Numbers
from mcprun.runs.run_record import Counts
from mcprun.runs.transcript import TranscriptSummary, Verdict

_PHRASES = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failed",
    Verdict.ERROR: "ended in an error",
    Verdict.SKIPPED: "were skipped",
}


def damage(lines: Iterable[tuple[TranscriptSummary, bytes]], counts: Counts | None, ids: Container[str] | None) -> str:
    """Describe how the transcripts of a run differ from its `counts`. Return an empty string if they match.

    `ids` are the ids of the run's queries, if known. Memory use is about 45 bytes for each line.
    """
    if counts is None:
        return "run.json says that the run has ended, but has no counts"
    counted = dict.fromkeys(Verdict, 0)
    seen = Numbers()
    for number, (line, _) in enumerate(lines, 1):
        name = repr(line.id)[:100]
        if ids is not None and line.id not in ids:
            return f"line {number:,} is {name}, which is not a query of the run"
        if (key := f"{line.repeat} {line.id}") in seen:
            return f"lines {seen[key]:,} and {number:,} are both {name}, repeat {line.repeat}"
        seen[key] = number
        counted[line.verdict] += 1
    if len(seen) != counts.queries:
        return f"complete lines: run.json counts {counts.queries:,}, but the file has {len(seen):,}"
    if wrong := next((verdict for verdict in Verdict if counted[verdict] != getattr(counts, verdict)), None):
        return f"run.json counts {getattr(counts, wrong):,} that {_PHRASES[wrong]}, but the file has {counted[wrong]:,}"
    return ""


def is_torn(path: Path) -> bool:
    """Return whether a file ends in a line without a newline. Raises `OSError` if it can't be read."""
    with path.open("rb") as stream:
        if not stream.seek(0, os.SEEK_END):
            return False
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
