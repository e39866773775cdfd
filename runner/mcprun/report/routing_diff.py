"""How the grades of two routed runs differ, as lines for a terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcprun.analysis.routing.changes import ChangedRoute, RecallChange, RoutingDiff
from mcprun.report.diff import Line
from mcprun.report.routing import percent, rate_text
from mcprun.report.styles import AMBER
from mcprun.report.text import one_line, plural

_LISTED = 10
"""Maximum queries, and tools, that are listed; `--json` has more."""

_NAME = 40
"""Maximum characters of an id, or of a tool's name."""

_TOOLS = 3
"""Maximum tools of a turn that are named."""


def routing_lines(diff: RoutingDiff | None) -> Iterator[Line]:
    """Lay out the accuracies, the test of their difference, the queries whose grade changed, and changes of recall."""
    if not diff:
        return
    style = _style(diff)
    yield ("~ " if diff.gained or diff.lost else "= ", style), ("routing", "bold"), (f"  {accuracies(diff)}", "")
    yield ("    ", ""), (verdict(diff), style)
    for right, text in changed_queries(diff):
        yield (f"    {'~' if right else '✗'} ", "green" if right else "red"), (text, "green" if right else "red")
    for text in recalls(diff):
        yield ("    ~ ", AMBER), (text, AMBER)


def routing_block(diff: RoutingDiff | None) -> list[Line]:
    """Return the same lines with the test in the first one, which is all that folded Markdown shows."""
    if not diff:
        return []
    first, (_, tested), *others = routing_lines(diff)
    return [(*first, (": ", ""), tested), *others]


def accuracies(diff: RoutingDiff) -> str:
    """Return the accuracy of both sides, or one if they are equal: `62 of 80 (78 %) → 70 of 80 (88 %) right`."""
    return f"{' → '.join(dict.fromkeys(map(rate_text, (diff.before, diff.after))))} right"


def verdict(diff: RoutingDiff) -> str:
    """Return how many queries changed, and whether that is chance."""
    left_out = f"; {plural(diff.unpaired, 'query')} graded in one run only" if diff.unpaired else ""
    if not diff.gained and not diff.lost:
        return f"no query became right or wrong{left_out}"
    p = f"p = {diff.p:.2g}" if diff.p else "p < 0.000001"
    chance = "significant" if diff.significant else "within chance"
    return f"{diff.gained:,} became right, {diff.lost:,} wrong: {chance} ({p}, McNemar's test){left_out}"


def changed_queries(diff: RoutingDiff) -> Iterator[tuple[bool, str]]:
    """Yield whether a query became right, and its tools before and after; of each kind, the first ones."""
    for right, word, count in ((False, "now wrong", diff.lost), (True, "now right", diff.gained)):
        found = [change for change in diff.changed if change.right is right]
        yield from ((right, f"{word}: {_change(change)}") for change in found[:_LISTED])
        if (left := count - min(len(found), _LISTED)) > 0:
            yield right, f"{word}: {plural(left, 'more query')}"


def recalls(diff: RoutingDiff) -> Iterator[str]:
    """Yield the tools whose recall changed, those that fell most first."""
    found = sorted((tool for tool in diff.tools if tool.has_changed), key=lambda tool: (_gain(tool), tool.tool))
    for tool in found[:_LISTED]:
        yield f"recall of {one_line(tool.tool, _NAME)}: {_recall(tool)}"
    if (left := len(found) - _LISTED) > 0:
        yield f"recall of {plural(left, 'more tool')}"


def _change(change: ChangedRoute) -> str:
    repeat = f" ({change.repeat})" if change.repeat > 1 else ""
    before, after = _called(change.before), _called(change.after)
    tools = f"{before} → {after}" if before != after else f"{after}, with other input"
    return f"{one_line(change.id, _NAME)}{repeat} ({tools})"


def _called(tools: Sequence[str]) -> str:
    """Return the tools that a turn calls."""
    more = f" and {len(tools) - _TOOLS:,} more" if len(tools) > _TOOLS else ""
    return ", ".join(one_line(tool, _NAME) for tool in tools[:_TOOLS]) + more if tools else "no call"


def _recall(tool: RecallChange) -> str:
    shares = ("none" if rate.share is None else percent(rate.share) for rate in (tool.before, tool.after))
    counts = (f"{rate.done:,}/{rate.total:,}" for rate in (tool.before, tool.after))
    return " → ".join(f"{count} ({share})" for count, share in zip(counts, shares, strict=True))


def _gain(tool: RecallChange) -> float:
    return (tool.after.share or 0.0) - (tool.before.share or 0.0)


def _style(diff: RoutingDiff) -> str:
    if not diff.significant:
        return AMBER if diff.gained or diff.lost else "dim"
    return "green" if diff.gained > diff.lost else "red"
