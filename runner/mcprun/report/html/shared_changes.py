"""The list of changes that several queries share, for the page of a comparison. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.groups import Group, Groups, Occurrences
from mcprun.report.change_groups import counts, group_pairs, group_title, inline
from mcprun.report.change_lines import NAME
from mcprun.report.diff import group_priority, value_lines, verdict_priority
from mcprun.report.text import one_line, plural

_SHOWN = 100
"""Maximum number of changes listed."""

_LINES = 20
"""Maximum number of lines of values shown of one change."""

_EXAMPLES = 3
"""Number of values shown of a place that has many."""

_MAX_TITLE = 300

Verdicts = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class SharedChanges:
    """Changes of more than one query, in the order of the page. `more` are not listed.

    Each of `items` has a `title`, its `counts` as text, the number of `queries`, how many became `worse`, and `lines`
    of values: a sign, segments of which every second one differs, and 1 for an error.
    """

    items: Sequence[JsonObject]
    more: int
    _numbers: Mapping[int, int]
    _verdicts: Mapping[Verdicts, int]

    def of(self, numbers: Iterable[int], verdicts: Verdicts) -> list[int]:
        """Return which items a query belongs to, given the numbers of its changes and its verdicts."""
        found = {self._numbers[number] for number in numbers if number in self._numbers}
        if verdicts in self._verdicts:
            found.add(self._verdicts[verdicts])
        return sorted(found)


def shared_changes(groups: Groups) -> SharedChanges:
    """List the changes that more than one query has: changed verdicts first."""
    flips = [(key, found) for key, found in sorted(groups.verdicts.items(), key=verdict_priority) if found.queries > 1]
    shared = sorted((one for one in groups.groups() if one.occurrences.queries > 1), key=group_priority)
    kept = shared[: _SHOWN - len(flips)]
    items = [*(_flip(key, found) for key, found in flips), *map(_item, kept)]
    numbers = {number: at for at, group in enumerate(kept, len(flips)) for number in group.numbers}
    return SharedChanges(items, len(shared) - len(kept), numbers, {key: at for at, (key, _) in enumerate(flips)})


def _flip(verdicts: Verdicts, found: Occurrences) -> JsonObject:
    return {
        "title": f"{verdicts[0]} → {verdicts[1]}",
        "counts": plural(found.queries, "query"),
        "queries": found.queries,
        "worse": found.worse,
        "lines": [],
    }


def _item(group: Group) -> JsonObject:
    is_inline = group.place is None and len(group.values) == 1 and inline(group.values[0]) is not None
    values = group.values[:_EXAMPLES] if group.place else group.values
    pairs = list(group_pairs(values))
    shown = [] if is_inline else islice(value_lines(pairs), _LINES)
    lines = [[line.sign, line.segments, int(line.sign == "+" and line.is_error)] for line in shown]
    left = max(0, len(pairs) - _LINES) + group.left_out
    return {
        "title": one_line(group_title(group), _MAX_TITLE),
        "counts": counts(group),
        "queries": group.occurrences.queries,
        "worse": group.occurrences.worse,
        "tool": one_line(group.example.tool or "", NAME),
        "lines": lines,
        "more": "… and other values" if group.place else f"… and {plural(left, 'more line')}" if lines and left else "",
    }
