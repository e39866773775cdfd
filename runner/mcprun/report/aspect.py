"""What matters most of how a query differs from the baseline, and the comparison in one line. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from mcprun._util.statistics import ALPHA
from mcprun.analysis.diff.repeats import is_sure
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.report.text import one_line, plural
from mcprun.runs.transcript import Verdict
from mcprun.tools.changes import ToolChange

Aspect = Literal["now_fails", "now_passes", "result", "calls", "other", "added", "removed"]
"""How a query differs, by what matters most: its verdict or pass rate, a result, the calls, or anything else."""

_ASPECTS: Mapping[str, Aspect] = {"result": "result", "call_added": "calls", "call_removed": "calls", "input": "calls"}
"""The aspect that a change belongs to; others belong to `other`."""

_BY_WEIGHT: tuple[Aspect, ...] = ("result", "calls", "other")

_WORDS: Mapping[Aspect, tuple[str, str]] = {
    "now_fails": ("now fails", "now fail"),
    "result": ("result changed", "results changed"),
    "calls": ("query with other calls", "queries with other calls"),
    "other": ("other change", "other changes"),
    "now_passes": ("now passes", "now pass"),
    "removed": ("query missing", "queries missing"),
    "added": ("new query", "new queries"),
}
"""The words for one query and for several, in the order in which they are listed."""

_NAME = 80
"""Maximum number of characters of a tool's name."""

_RENAMED = 3
"""Maximum number of renamed tools that are named."""


class Part(NamedTuple):
    """A part of the comparison as text. `aspect` is that of the queries that it counts, empty if it counts tools."""

    text: str
    aspect: Aspect | Literal[""]


def aspect_of(diff: QueryDiff) -> Aspect:
    """Return what matters most of how a query differs."""
    if diff.how != "changed":
        return diff.how
    if found := _outcome(diff):
        return found
    changes = (*diff.changes, *(change for variant in diff.variants for change in variant.changes))
    aspects = {_ASPECTS.get(change.what, "other") for change in changes}
    return next((aspect for aspect in _BY_WEIGHT if aspect in aspects), "other")


def _outcome(diff: QueryDiff) -> Aspect | None:
    """Return whether a query fails or passes now that did not; with repeats, whether the rate changed significantly."""
    before, after = diff.verdicts
    if before and after:
        if before == after or Verdict.PASSED not in (before, after):
            return None
        return "now_fails" if before == Verdict.PASSED else "now_passes"
    one, other = diff.rates
    if one is None or other is None or not is_sure(one, other, ALPHA):
        return None
    return "now_fails" if other.passed * one.runs < one.passed * other.runs else "now_passes"


def comparison_parts(aspects: Iterable[Aspect], tools: Iterable[ToolChange]) -> Iterator[Part]:
    """Yield how a run differs from its baseline: `3 now fail`, `11 results changed`, `1 tool renamed (a → b)`.

    `aspects` are those of all queries that differ; each is counted once.
    """
    counts = Counter(aspects)
    for aspect, words in _WORDS.items():
        if count := counts[aspect]:
            yield Part(f"{count:,} {words[count != 1]}", aspect)
    for text in tool_parts(tools):
        yield Part(text, "")


def tool_parts(tools: Iterable[ToolChange]) -> Iterator[str]:
    """Yield how the server's tools changed; a tool that changed in several ways is counted once."""
    kinds: dict[str, list[ToolChange]] = {"renamed": [], "removed": [], "added": []}
    changed: dict[str, bool] = {}
    for change in tools:
        kind = change.kind.removeprefix("tool_")
        if kind in kinds:
            kinds[kind].append(change)
        else:
            changed[change.tool] = changed.get(change.tool, False) or change.breaking
    for kind, changes in kinds.items():
        if changes:
            names = [_name(change) for change in changes[:_RENAMED]]
            names += ["…"] if len(changes) > _RENAMED else []
            yield f"{plural(len(changes), 'tool')} {kind} ({', '.join(names)})"
    if changed:
        breaking = sum(changed.values())
        yield f"{plural(len(changed), 'tool')} changed" + (f" ({breaking:,} breaking)" if breaking else "")


def _name(change: ToolChange) -> str:
    name = one_line(change.tool, _NAME)
    return f"{name} → {one_line(str(change.after), _NAME)}" if change.kind == "tool_renamed" else name
