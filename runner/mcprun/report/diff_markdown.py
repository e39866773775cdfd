"""Differences between two runs as Markdown, for a job's summary or a comment.

Text from servers and models is put only into code and fences. The size is bounded, and omitted changes and lines are
counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import DiffSummary, MovedRate
from mcprun.report.diff import Line, blocks, diff_line, moved_lines, summary, tool_lines
from mcprun.report.markdown import COMMENT_BYTES
from mcprun.report.text import plural
from mcprun.report.volatile import Note, note_blocks
from mcprun.tools.changes import ToolChange

_BLOCK_BYTES = 16_000
"""Maximum bytes of one query or of the tools, so that one large difference leaves room for others."""

_LEAST_BYTES = 4_000
"""Minimum bytes left for another query: with less, not even its title is sure to fit."""

_NOTES_BYTES = 400
"""Bytes reserved for the note about omitted queries."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What Markdown shows beside the changes.

    These are pass rates that `moved` within chance, what looks `volatile`, and lines about coverage and routing.
    """

    moved: Sequence[MovedRate] = ()
    volatile: VolatileSummary | None = None
    coverage: Sequence[Line] = ()
    routing: Sequence[Line] = ()


_NO_NOTES = Notes()


def markdown(
    groups: Groups,
    tools: Sequence[ToolChange],
    diff_summary: DiffSummary,
    max_bytes: int = COMMENT_BYTES,
    *,
    notes: Notes = _NO_NOTES,
) -> Iterator[str]:
    """Lay out differences in at most `max_bytes`: totals, the routing, the tools, then the changes, folded.

    The other `notes` follow. What was masked, and how to leave out what looks volatile, comes last. Yields blocks of
    whole lines.
    """
    head = f"**{'The runs differ' if diff_summary.differ else 'No differences'}**: {summary(diff_summary)}."
    yield head
    left = max_bytes - _NOTES_BYTES - _size(head)
    of_routing = _block(list(notes.routing), left) if notes.routing else ""
    of_tools = _block(list(tool_lines(tools)), left) if tools else ""
    yield from filter(None, (of_routing, of_tools))
    rates = [((("pass rates within chance"), ""),), *moved_lines(notes.moved, diff_summary.chance)]
    last = [_block(list(notes.coverage), left)] if notes.coverage else []
    last += [_block(rates, left)] if notes.moved else []
    last += [note for block in note_blocks(notes.volatile) if (note := _note(block, left))] if notes.volatile else []
    left -= _size(of_routing) + _size(of_tools) + sum(map(_size, last))
    left_out = 0
    for laid_out in blocks(groups, is_inline=False):
        if left < _LEAST_BYTES:
            left_out += bool(laid_out)
        elif laid_out:
            block = _block(laid_out, left)
            left -= _size(block)
            yield block
    yield from last
    if left_out:
        yield f"\nOmitted: {plural(left_out, 'more change')}. Run `mcprun diff` to see all of them."


def _note(note: Note, left: int) -> str:
    """Return a folded block of a note; empty if there is little room."""
    return "" if left < _LEAST_BYTES else _block([((line, ""),) for line in (note.title, *note.lines)], left, "text")


def _block(laid_out: list[Line], max_bytes: int, language: str = "diff") -> str:
    """Return a folded block whose summary is the first line, with as many of the other lines as fit in `max_bytes`."""
    head = "".join(text for text, _ in laid_out[0])
    body = [diff_line(line) for line in laid_out[1:]]
    if not body:  # an element that keeps Markdown out of the text
        return f"\n<div><code>{_escaped(head)}</code></div>"
    ticks = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)  # longer than any run of backticks inside
    before = f"\n<details><summary><code>{_escaped(head)}</code></summary>\n\n{fence}{language}\n"
    after = f"{fence}\n\n</details>"
    left = min(max_bytes, _BLOCK_BYTES) - _size(before) - _size(after) - _NOTES_BYTES
    shown: list[str] = []
    for line in body:
        left -= _size(line)
        if left < 0:
            shown.append(f"… and {plural(len(body) - len(shown), 'more line')}")
            break
        shown.append(line)
    return before + "".join(f"{line}\n" for line in shown) + after


def _size(text: str) -> int:
    """Return the size of a block and its line break in bytes. Surrogates, which UTF-8 lacks, are counted escaped."""
    return len(text.encode("utf-8", "backslashreplace")) + 1


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
