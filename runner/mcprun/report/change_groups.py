"""Groups of identical changes as text: a title with the counts, the queries, and the values. Pure.

`get_order → state: shipped → in_transit: 10 queries, 59 calls`
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mcprun._util.code_points import reveal_name
from mcprun.analysis.diff.groups import Group, Occurrences, Value
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change
from mcprun.report.change_lines import NAME, Pair, difference_pairs, has_failed, with_visible_paths
from mcprun.report.text import one_line, plural

SHOWN_NAMES = 5
"""Number of queries that a group names in the terminal."""

_NAMES_CHARS = 400
"""Maximum number of characters of a list of queries."""

_INLINE = 60
"""Maximum number of characters of a value in a title."""

_SEVERAL, _SEVERAL_CHARS = 3, 120
"""Maximum number of values in a title, and maximum number of their characters."""

_WHATS = {"call_added": "call added", "call_removed": "call removed", "text": "final text", "fault": "not compared"}


def group_title(group: Group, *, with_values: bool = True) -> str:
    """Return the title of a group: the tool, the place, and its values if they are short and there is one of each."""
    path = group.values[0].path
    if group.place:
        return " → ".join(part for part in (_subject(group.example), one_line(group.place.path, NAME)) if part)
    if len(group.values) > 1:
        return f"{_subject(group.example)} → {_several(group.values, with_values=with_values)}"
    shown = inline(group.values[0]) if with_values else None
    if group.example.tool is None and not path:  # such as `stop: end_turn → max_turns`
        return f"{_subject(group.example)}: {shown}" if shown else _subject(group.example)
    if not shown and not path and group.example.what in ("call_added", "call_removed"):
        return _subject(group.example)
    return f"{_subject(group.example)} → {shown or one_line(path, NAME) or 'result'}"


def _several(values: Sequence[Value], *, with_values: bool) -> str:
    """Return the first values that differ, or their paths if they are long, and how many more there are."""
    shown = [inline(value) or "" for value in values[:_SEVERAL]] if with_values else []
    if not all(shown) or len(", ".join(shown)) > _SEVERAL_CHARS or not shown:
        shown = [one_line(value.path, NAME) or "result" for value in values[:_SEVERAL]]
    left = len(values) - len(shown)
    return ", ".join(shown) + (f" and {left:,} more" if left else "")


def _subject(change: Change) -> str:
    """Return what has changed: the tool, and the kind of change unless it is a result."""
    what = _WHATS.get(change.what, change.what)
    if change.tool is None:
        return what
    tool = one_line(change.tool, NAME)
    return tool if change.what == "result" else f"{tool}  {what}"


def inline(value: Value) -> str | None:
    """Return a value before and after on one line, `state: shipped → in_transit`. Return None if that is too long."""
    pairs = [pair for pair, _ in group_pairs([value])]
    signs = "".join(sign for sign, _ in pairs)
    path = f"{one_line(value.path, NAME)}: " if value.path and not _is_one_sided(value) else ""
    texts = [text.removeprefix(path) for _, text in pairs]
    if signs not in ("-+", "-", "+") or any(len(text) > _INLINE for text in texts):
        return None
    if signs == "-+":
        return f"{path}{texts[0]} → {texts[1]}"
    return f"{path}{texts[0]} {'added' if signs == '+' else 'removed'}" if not _is_one_sided(value) else texts[0]


def counts(group: Group) -> str:
    """Return how often a group occurs: `10 queries, 59 calls`."""
    found = group.occurrences
    text = plural(found.queries, "query")
    if group.example.call is not None:
        text += f", {plural(found.calls, 'call')}"
    if group.place:
        count = len(group.values)
        text += f", {'more than ' if group.place.is_full else ''}{count:,} different values"
    return text


def names(found: Occurrences, count: int = 20) -> str:
    """Return the first queries of a group, and how many more there are: `a, b, c and 7 more`."""
    shown: list[str] = []
    for diff in found.first[:count]:
        if shown and sum(map(len, shown)) > _NAMES_CHARS:
            break
        shown.append(_name(diff))
    left = found.queries - len(shown)
    return ", ".join(shown) + (f" and {left:,} more" if left else "")


def _name(diff: QueryDiff) -> str:
    name = diff.id if diff.how == "changed" else reveal_name(diff.id)
    return one_line(name, NAME) + (f" (repeat {diff.repeat})" if diff.repeat and diff.repeat > 1 else "")


def group_pairs(values: Iterable[Value]) -> Iterator[tuple[Pair, bool]]:
    """Yield the lines of values, and for each whether it is of an error."""
    found = list(values)
    places = with_visible_paths(value.difference for value in found)
    for value, (difference, paths) in zip(found, places, strict=True):
        change = value.example
        if change.what in ("call_added", "call_removed"):
            continue
        fails = has_failed(change)
        paths = paths if value.is_same_path else (value.path, value.path)
        for sign, text in difference_pairs(difference, paths, change.are_errors):
            if (sign == "-" and not value.is_same_before) or (sign == "+" and not value.is_same_after):
                continue
            yield (sign, text), fails and sign == "+"


def _is_one_sided(value: Value) -> bool:
    return value.example.are_errors[0] is not value.example.are_errors[1]
