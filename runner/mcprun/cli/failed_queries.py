"""The note about queries that a baseline accepts although they did not pass, for `bless` and `batch --update`."""

from __future__ import annotations

from collections.abc import Collection

from mcprun.report.text import one_line, plural
from mcprun.runs.run import Run
from mcprun.runs.transcript import Verdict

_LISTED, _NAME = 5, 100
"""Maximum number of queries listed, and of characters of an id."""

_KINDS = {
    Verdict.FAILED: ("failed query", ""),
    Verdict.ERROR: ("query", " with an error"),
    Verdict.SKIPPED: ("skipped query", ""),
}
"""The verdicts other than passed, as a noun and what follows it."""


def failed_queries_note(run: Run, among: Collection[str] | None = None) -> str:
    """Return which queries of an accepted run did not pass: `accepted with 1 failed query: NAME`. Empty if all passed.

    A query whose repeats reached the required pass rate passed. `among` are the ids that were accepted, None for all.
    """
    met = {one.id for one in run.record.repeats if one.is_met}
    by_verdict: dict[Verdict, dict[str, None]] = {verdict: {} for verdict in _KINDS}
    for summary, _ in Run.summaries(run.path):
        if summary.is_ungraded:
            continue
        if summary.verdict in by_verdict and summary.id not in met and (among is None or summary.id in among):
            by_verdict[summary.verdict][summary.id] = None
    parts = [
        f"{plural(len(ids), noun)}{more}: {_listed([*ids])}"
        for (noun, more), ids in zip(_KINDS.values(), by_verdict.values(), strict=True)
        if ids
    ]
    return f"accepted with {'; '.join(parts)}" if parts else ""


def _listed(ids: list[str]) -> str:
    more = f" and {len(ids) - _LISTED:,} more" if len(ids) > _LISTED else ""
    return ", ".join(one_line(name, _NAME) for name in ids[:_LISTED]) + more
