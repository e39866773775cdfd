"""The section of a run's page that compares it with its baseline. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mcprun.report.baseline import BaselineData
from mcprun.report.diff import unchanged
from mcprun.report.html.coverage_diff import FallenCoverage, fallen_coverage
from mcprun.report.html.routing_diff import RoutingChanges, routing_changes
from mcprun.report.text import one_line
from mcprun.report.volatile import Note, note_blocks
from mcprun.tools.changes import ToolChange

_TOOLS = 50
"""Maximum number of changes of tools that are listed."""

_REMOVED = 20
"""Maximum number of queries that are listed because only the baseline has them."""

_TEXT = 300
"""Maximum number of characters of one of them."""


@dataclass(frozen=True, slots=True)
class AgainstView:
    """A comparison with the baseline `name`.

    `parts` are its counts, pairs of a text and of a link that selects these queries, which is empty if it counts none
    of the page. `unchanged` is text. `tools` are the changes of tools, pairs of a text and whether it is breaking,
    and `removed` the ids of queries that only the baseline has. `notes` name what was masked, `coverage` what fell, and
    `routing` how the grades of two routed runs differ.
    """

    name: str
    parts: tuple[tuple[str, str], ...]
    unchanged: str
    tools: tuple[tuple[str, bool], ...]
    more_tools: int
    removed: tuple[str, ...]
    more_removed: int
    notes: tuple[Note, ...]
    coverage: FallenCoverage | None
    routing: RoutingChanges | None


def against_view(against: BaselineData) -> AgainstView:
    """Return the section for a comparison."""
    return AgainstView(
        name=against.name,
        parts=tuple(
            (text, f"#baseline={aspect}" if aspect and aspect != "removed" else "") for text, aspect in against.parts
        ),
        unchanged=unchanged(against.counts),
        tools=tuple(_tools(against.tools)[:_TOOLS]),
        more_tools=max(0, len(against.tools) - _TOOLS),
        removed=tuple(one_line(change.id, _TEXT) for change in against.removed[:_REMOVED]),
        more_removed=max(0, len(against.removed) - _REMOVED),
        notes=tuple(note_blocks(against.volatile)),
        coverage=fallen_coverage(against.coverage),
        routing=routing_changes(against.routing),
    )


def _tools(changes: tuple[ToolChange, ...]) -> list[tuple[str, bool]]:
    ordered = sorted(changes, key=lambda change: not change.breaking)
    return [(one_line(f"{change.tool}: {change.message}", _TEXT), change.breaking) for change in ordered]
