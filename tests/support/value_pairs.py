"""The lines of values that a comparison prints, for tests of how values are shown."""

from __future__ import annotations

from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change
from mcprun.report.change_groups import group_pairs
from mcprun.report.change_lines import Pair


def value_pairs(change: Change) -> list[Pair]:
    """Return the old and new values of a change of one query, one escaped line each."""
    groups = Groups()
    groups.add(QueryDiff("q", 1, "changed", changes=(change,)))
    return [pair for group in groups.groups() for pair, _ in group_pairs(group.values)]
