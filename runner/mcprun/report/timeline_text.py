"""A query's timeline as a table for a terminal: each span with its start and its length."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from mcprun.report.styles import AMBER
from mcprun.report.text import duration, one_line, plural
from mcprun.report.timeline import PARTS, Timeline
from mcprun.report.timings import STEPS, Span

_LABEL = 80
"""Maximum number of characters shown of the name of a tool, prompt or resource."""

_STYLES = {"wait": AMBER, "idle": "dim", "attempt": "bold"}


def timeline_rows(shown: Timeline) -> Iterator[RenderableType]:
    """Yield a timeline for a terminal: what the time consists of, then a table of the spans."""
    parts = [f"{name} {duration(seconds)}" for name, seconds in zip(PARTS, shown.parts, strict=True) if seconds > 1e-6]
    yield Text(f"{duration(shown.seconds)}: {', '.join(parts)}")
    table = Table.grid(padding=(0, 2))
    for justify in ("right", "right", "left"):
        table.add_column(justify=justify)
    table.add_row(*(Text(name, "dim") for name in ("starts at", "took", "")))
    for span in shown.spans:
        table.add_row(duration(span.start), duration(span.seconds), _name(span))
    yield table
    if shown.unlisted:
        yield Text(f"{plural(shown.unlisted, 'idle time')} below 0.2 % of the total not listed", "dim")
    if shown.dropped:
        yield Text(f"{plural(shown.dropped, 'more span')} in trace.jsonl", "dim")


def _name(span: Span) -> Text:
    """Name a span, indented below its turn, with its problem."""
    label = one_line(span.label, _LABEL)
    match span.kind:
        case "attempt":
            name = f"attempt {span.attempt}"
        case "model":
            name = f"turn {span.turn}"
        case "call":
            name = f"  call {span.call} {label}"
        case "prompt" | "read":
            name = f"  {span.kind} {label}"
        case kind if kind in STEPS:
            name = f"{kind} {label}"
        case "wait":
            name = f"  wait for {label}" if label else "  wait before a retry"
        case _:
            name = span.kind
    problem = (f"  ✗ {one_line(span.problem, 200)}", "red") if span.problem else ""
    return Text.assemble((name, _STYLES.get(span.kind, "")), problem)
