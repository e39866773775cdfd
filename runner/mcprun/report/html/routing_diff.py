"""How the grades of two routed runs differ, for pages. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mcprun.analysis.routing.changes import RoutingDiff
from mcprun.report.routing_diff import accuracies, changed_queries, recalls, verdict


@dataclass(frozen=True, slots=True)
class RoutingChanges:
    """The accuracies of both sides, the test of their difference, and lines of text with their class."""

    accuracies: str
    verdict: str
    lines: tuple[tuple[str, str], ...]


def routing_changes(diff: RoutingDiff | None) -> RoutingChanges | None:
    """Return what a page shows of two routed runs; None of others."""
    if not diff:
        return None
    queries = ((text, "passed" if right else "failed") for right, text in changed_queries(diff))
    return RoutingChanges(accuracies(diff), verdict(diff), (*queries, *((text, "") for text in recalls(diff))))
