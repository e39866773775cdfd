"""Differences between two runs as Markdown, for a job's summary or a comment.

What servers and models said stands in code and in fences only, and is bounded: what is left out is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from mcprun.analysis.diff.runs import DiffSummary, QueryDiff
from mcprun.report.diff import Line, lines, summary, tool_lines
from mcprun.report.isolated import shown_diff
from mcprun.report.markdown import COMMENT_BYTES
from mcprun.report.text import many
from mcprun.tools.changes import ToolChange

_BLOCK_BYTES = 16_000
"""What one query, or the tools, may take: one that differs much leaves room for others."""

_LEAST_BYTES = 4_000
"""With less room than this, no further query is told of: there may be none for its title."""

_NOTES_BYTES = 400
"""Kept free for saying what is left out, so that there is always room for it."""


def markdown(
    diffs: Iterable[QueryDiff], tools: Sequence[ToolChange], tally: DiffSummary, most: int = COMMENT_BYTES
) -> Iterator[str]:
    """Lay out differences in at most `most` bytes: a line of totals, then what changed, folded, the tools last.

    Gives pieces that each stand on lines of their own. `tally` is whole.
    """
    head = f"**The runs {'differ' if tally.differ else 'are the same'}**: {summary(tally)}."
    yield head
    left = most - _NOTES_BYTES - _size(head)
    of_tools = _block(list(tool_lines(tools)), left) if tools else ""
    left -= _size(of_tools)
    left_out = 0
    for diff in diffs:
        if left < _LEAST_BYTES:
            left_out += 1
            continue
        block = shown_diff(diff, partial(_diff_block, room=left))
        left -= _size(block)
        yield block
    if of_tools:
        yield of_tools
    if left_out:
        yield f"\n{many(left_out, 'more query')} that differ are not shown here: `mcprun diff` tells them."


def _diff_block(diff: QueryDiff, room: int) -> str:
    return _block(list(lines(diff)), room)


def _block(laid_out: list[Line], room: int) -> str:
    """Fold what is told of one thing, as far as there is room."""
    head, *rest = ["".join(text for text, _ in line) for line in laid_out]
    told = [line[6:] if line.startswith("      ") else line.strip() for line in rest]
    ticks = max((len(run) for line in told for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)  # longer than any that stands within
    before = f"\n<details><summary><code>{_escaped(head)}</code></summary>\n\n{fence}diff\n"
    after = f"{fence}\n\n</details>"
    left = min(room, _BLOCK_BYTES) - _size(before) - _size(after) - _NOTES_BYTES
    kept: list[str] = []
    for line in told:
        left -= _size(line)
        if left < 0:
            kept.append(f"… and {many(len(told) - len(kept), 'more line')}")
            break
        kept.append(line)
    return before + "".join(f"{line}\n" for line in kept) + after


def _size(text: str) -> int:
    """Count the bytes of a piece and its line break; what UTF-8 can't hold is escaped where it is written."""
    return len(text.encode("utf-8", "backslashreplace")) + 1


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
