"""Differences between two runs as Markdown, for a job's summary or a comment.

Text from servers and models is put only into code and fences. The size is bounded, and omitted queries and lines are
counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import DiffSummary, QueryDiff
from mcprun.report.diff import Line, lines, summary, tool_lines
from mcprun.report.fault_isolation import render_diff
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


def markdown(
    diffs: Iterable[QueryDiff],
    tools: Sequence[ToolChange],
    diff_summary: DiffSummary,
    max_bytes: int = COMMENT_BYTES,
    *,
    volatile: Callable[[], VolatileSummary] = VolatileSummary,
) -> Iterator[str]:
    """Lay out differences in at most `max_bytes`: totals first, then each query's changes, folded, then the tools.

    What was masked, and how to leave out what looks `volatile`, comes last.

    Yields blocks of whole lines. `diff_summary` must be complete.
    """
    head = f"**{'The runs differ' if diff_summary.differ else 'No differences'}**: {summary(diff_summary)}."
    yield head
    left = max_bytes - _NOTES_BYTES - _size(head)
    of_tools = _block(list(tool_lines(tools)), left) if tools else ""
    notes = "".join(_note(block, left) for block in note_blocks(volatile()))
    left -= _size(of_tools) + _size(notes)
    left_out = 0
    for diff in diffs:
        if left < _LEAST_BYTES:
            left_out += 1
            continue
        block = render_diff(diff, partial(_diff_block, max_bytes=left))
        left -= _size(block)
        yield block
    if of_tools:
        yield of_tools
    if notes:
        yield notes
    if left_out:
        yield f"\nOmitted: {plural(left_out, 'more query')} with differences. Run `mcprun diff` to see all of them."


def _note(note: Note, left: int) -> str:
    """Return a folded block of a note; empty if there is little room."""
    return "" if left < _LEAST_BYTES else _block([((line, ""),) for line in (note.title, *note.lines)], left, "text")


def _diff_block(diff: QueryDiff, max_bytes: int) -> str:
    return _block(list(lines(diff)), max_bytes)


def _block(laid_out: list[Line], max_bytes: int, language: str = "diff") -> str:
    """Return a folded block whose summary is the first line, with as many of the other lines as fit in `max_bytes`."""
    head, *rest = ["".join(text for text, _ in line) for line in laid_out]
    body = [line[6:] if line.startswith("      ") else line.strip() for line in rest]
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
