"""How the coverage of two runs differs, as lines for a terminal and for Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mcprun._util.plural import plural
from mcprun.analysis.coverage.changes import CoverageDiff, LostArgument
from mcprun.analysis.coverage.coverage import Share
from mcprun.analysis.coverage.gates import percent
from mcprun.report.diff import Line
from mcprun.report.styles import AMBER
from mcprun.report.text import one_line

_NAMES = 10
"""Maximum tools or arguments that a line names; `--json` has all of them."""

_NAME = 60
"""Maximum characters of a tool's name, or of an argument with its values."""


def coverage_lines(diff: CoverageDiff | None) -> Iterator[Line]:
    """Lay out what fell, and the new tools that no query calls; nothing if there is neither."""
    if not diff:
        return
    yield ("~ ", AMBER), ("coverage", "bold"), (f"  {shares(diff)}", "")
    for label, names in fallen(diff):
        yield ("    ~ ", AMBER), (f"{label}: {_listed(names)}", AMBER)


def shares(diff: CoverageDiff) -> str:
    """Return the shares of both sides, or one if they are equal: `3 of 3 tools (100 %) → 2 of 4 tools (50 %)`."""
    return " → ".join(dict.fromkeys([_share(diff.before), _share(diff.after)]))


def fallen(diff: CoverageDiff) -> Iterator[tuple[str, list[str]]]:
    """Yield what fell, and new tools without a query, as pairs of a heading and names. None of them is empty."""
    for label, names in (
        ("no longer covered", [one_line(name, _NAME) for name in diff.lost]),
        ("no longer exercised", [_argument(lost) for lost in diff.arguments]),
        ("new tools without a query", [one_line(name, _NAME) for name in diff.new]),
    ):
        if names:
            yield label, names


def _share(share: Share) -> str:
    return f"{share.done:,} of {plural(share.total, 'tool')} ({percent(share)})"


def _argument(lost: LostArgument) -> str:
    values = " or ".join(json.dumps(value, ensure_ascii=False) for value in lost.values)
    return one_line(f"{lost.tool} {lost.path}{f' = {values}' if values else ''}", _NAME)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more:,} more" if more > 0 else "")
