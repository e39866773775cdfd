"""Find what looks volatile in the calls of a replay that diverged from the recording."""

from __future__ import annotations

from contextlib import closing
from itertools import islice

from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.volatile.findings import MAX_QUERIES, Findings
from mcprun.errors import McprunError
from mcprun.runs.run import Run

_REPLAY = "replay:"


def volatile_divergences(run: Run, scrubber: Scrubber) -> VolatileSummary:
    """Return the rules that would cover the diverged calls of a run that look volatile; none if it is no replay.

    The recording may have been removed since: then there are none either.
    """
    record = run.record
    if record.model.kind != "replay" or not run.counts.diverged:
        return VolatileSummary()
    try:
        with closing(Run.read(record.model.name.removeprefix(_REPLAY))) as recording:
            return _compared(recording, run, scrubber)
    except McprunError:
        return VolatileSummary()


def _compared(recording: Run, run: Run, scrubber: Scrubber) -> VolatileSummary:
    options = CompareOptions(frozenset({"results"}), scrubber)
    found = Findings.between(recording, run, scrubber)
    diverged = (one for one in run.transcripts() if one.diverged)
    for transcript in islice(diverged, MAX_QUERIES):
        place = recording.index.get((transcript.id, transcript.repeat))
        if place is not None:
            changes = options.changes(recording.at(place).line(), transcript.line())
            found.search(transcript.id, changes)
    return found.summary()
