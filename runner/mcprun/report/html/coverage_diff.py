"""Coverage that fell between two runs, and new tools without a query, for pages. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mcprun.analysis.coverage.changes import CoverageDiff
from mcprun.report.coverage_diff import fallen, shares

_NAMES = 50
"""Maximum number of tools, or of arguments, that a page lists."""


@dataclass(frozen=True, slots=True)
class FallenCoverage:
    """What fell: the `shares` of both sides, and `parts`, each with its heading, names, and the number left out."""

    shares: str
    parts: tuple[tuple[str, tuple[str, ...], int], ...]


def fallen_coverage(diff: CoverageDiff | None) -> FallenCoverage | None:
    """Return what a page shows of the differences in coverage; None if nothing fell."""
    if not diff:
        return None
    parts = ((label, tuple(names[:_NAMES]), max(0, len(names) - _NAMES)) for label, names in fallen(diff))
    return FallenCoverage(shares(diff), tuple(parts))
