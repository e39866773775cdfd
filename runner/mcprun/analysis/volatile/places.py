"""Find the places at which results differ, and the rule that covers each: the smallest part that is volatile. Pure.

Differences between two tries of an unchanged server are volatile whatever their form (`places_of_tries`). Those
between two versions of a server are only if both values are volatile by their nature (`likely_places`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any

from mcprun._util.json_path import OfTool, format_path
from mcprun._util.json_value import json_same, key_of
from mcprun.analysis.diff.forms import SCRUBS, is_epoch
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.diff.scrub import Path, Scrubber
from mcprun.analysis.diff.transcripts import Change
from mcprun.analysis.volatile.likelihood import LEAST_PORT, Interval, is_measured_key, is_random_id
from mcprun.analysis.volatile.texts import are_likely, covering_scrubs, patterns_between, scrubbed, sorted_lines

_MAX_KEYS = 5
"""The most keys of one object that are ignored one by one. With more, the object is ignored."""

_MAX_PLACES = 20
"""The most items of one object that are ignored one by one."""

_MAX_CHARS = 1_000_000
"""The longest text that is searched. Longer ones differ as a whole."""

_MAX_ITEMS = 2_000
"""The most items of one list that are searched if they differ. Those of a longer list are mostly alike."""

_MAX_ORDER_CHARS = 500_000
"""The most characters of two lists of which the order is compared after scrubbing, which takes seconds."""

_LEAST_SORTED = 4
"""The least length of a list whose order counts as intended if it is sorted: shorter ones often are by chance."""

_ROOTS: dict[str, Path] = {
    "result": ("calls", None, "result"), "input": ("calls", None, "input"), "prompt": ("messages",), "text": ("text",),
}  # fmt: skip
"""Where the values of a change are, by what has changed."""

_OWN_LEVELS = {"calls": 3, "messages": 5, "text": 1}
"""Levels of keys that all queries share: a path that ends there would ignore the results of all queries."""

_HOLDING = {"text": ("text",), "image": ("data",), "audio": ("data",), "resource": ("resource",)}
"""What holds the content in a block of each type."""

RESULT = format_path(_ROOTS["result"])


@dataclass(frozen=True, slots=True)
class Place:
    """A volatile place: its path, with `[*]` for each index, and what it holds in two tries, `before` and `after`.

    `kind` is the name of a scrub, `random id`, `number`, `text`, `value`, `order`, `length`, `keys`, or, for what no
    rule covers, `error`, `verdict`, `stop`, `calls` or `fault`. `rule` is None if nothing smaller than a whole result
    covers the place: its query needs fixing. `otherwise` is a rule for this path alone, for a suite of which `rule`
    would mask too much. `tool` is the tool whose result it is in, if any.
    """

    path: str
    kind: str
    rule: Rule | None
    before: Any = None
    after: Any = None
    tool: str | None = None
    otherwise: Rule | None = None


def places_of_tries(changes: Iterable[Change]) -> list[Place]:
    """Return the volatile places of two tries of one query, given the changes between them."""
    return _places(changes, None)


@dataclass(slots=True)
class Budget:
    """The number of characters that may still be searched. Searching 1,000,000 takes some seconds."""

    chars: float = math.inf

    def take(self, chars: int) -> bool:
        """Take from the budget. Return whether it was large enough."""
        self.chars -= chars
        return self.chars >= 0


def likely_places(changes: Iterable[Change], interval: Interval, budget: Budget | None = None) -> list[Place]:
    """Return the places of a comparison that look volatile. Each has a rule; what may be a regression is left out.

    Texts for which the `budget` has no characters left are not searched.
    """
    return [place for place in _places(changes, interval, budget) if place.rule]


def _places(changes: Iterable[Change], interval: Interval | None, budget: Budget | None = None) -> list[Place]:
    found: list[Place] = []
    for change in changes:
        search = _Search(interval, change.tool, budget or Budget())
        if change.what in ("call_added", "call_removed"):
            search.add(("calls",), "calls", None, change.before, change.after)
        elif change.are_errors[0] is not change.are_errors[1]:
            search.add(("calls", None, "is_error"), "error", None, change.before, change.after)
        elif change.what in _ROOTS:
            root = _ROOTS[change.what]
            search.common = common_paths(root, change.before) | common_paths(root, change.after)
            search.walk(root, change.before, change.after)
        elif change.what != "usage":
            search.add((change.what,), change.what, None, change.before, change.after)
        found += search.found
    return unique_places(found)


def unique_places(places: Iterable[Place]) -> list[Place]:
    """Return the first place of each path, kind and rule."""
    found: dict[tuple[str, str, Rule | None], Place] = {}
    for place in places:
        found.setdefault((place.path, place.kind, place.rule), place)
    return list(found.values())


@dataclass(slots=True)
class _Search:
    """A walk through two values. Without an `interval`, every difference is volatile.

    `common` are the paths that results of other tools have, too.
    """

    interval: Interval | None
    tool: str | None
    budget: Budget
    found: list[Place] = field(default_factory=list)
    common: frozenset[Path] = frozenset()
    _known: dict[Path, tuple[str, ...]] = field(default_factory=dict)

    def add(self, path: Path, kind: str, rule: Rule | None, before: Any, after: Any) -> None:
        """Add a place."""
        otherwise = self._ignoring(path) if rule and rule.option == "scrub" else None
        self.found.append(Place(format_path(path), kind, rule, before, after, self.tool, otherwise))

    def ignore(self, path: Path, kind: str, before: Any, after: Any) -> None:
        """Add a place that only ignoring it covers."""
        self.add(path, kind, self._ignoring(path), before, after)

    def _ignoring(self, path: Path) -> Rule | None:
        return ignoring(path, self.common, self.tool)

    def _sorting(self, path: Path) -> Rule:
        return Rule("ignore_order", format_path(_of_tool(path, self.tool)))

    def walk(self, path: Path, one: Any, other: Any) -> None:
        """Add the places at which two values differ."""
        if json_same(one, other):
            return
        if isinstance(one, dict) and isinstance(other, dict):
            self._objects(path, one, other)
        elif isinstance(one, list) and isinstance(other, list):
            self._lists(path, one, other)
        elif isinstance(one, str) and isinstance(other, str):
            self._texts(path, one, other)
        elif _is_number(one) and _is_number(other):
            self._numbers(path, one, other)
        elif self.interval is None:
            self.ignore(path, "value", one, other)

    def _numbers(self, path: Path, one: float, other: float) -> None:
        is_time = is_epoch(one) and is_epoch(other)
        if is_time and (self.interval is None or self.interval.is_measured(one, other)):
            self.add(path, "epoch", Rule("scrub", "epoch"), one, other)
        elif self.interval is None or is_measured_key(path[-1]) or _are_ports(path[-1], one, other):
            self.ignore(path, "number", one, other)

    def _texts(self, path: Path, one: str, other: str) -> None:
        if max(len(one), len(other)) > _MAX_CHARS or not self.budget.take(len(one) + len(other)):
            if self.interval is None:
                self.ignore(path, "text", one, other)
            return
        known = self._known.get(path, ())  # the items of a list are mostly alike
        names = known if known and scrubbed(one, known) == scrubbed(other, known) else covering_scrubs(one, other)
        if names:
            if self.interval is None or are_likely(one, other, names, self.interval):
                self._known[path] = names
                self._scrub(path, names, one, other)
            return
        if self._are_lines_permuted(one, other):
            self.add(path, "order", self._sorting(path), one, other)
            self._scrub(path, covering_scrubs(one, other, sorted_lines), one, other)
            return
        is_random = is_random_id(one, other)
        if is_random and self._ignoring(path):
            self.ignore(path, "random id", one, other)
        elif patterns := patterns_between(one, other, only_random=self.interval is not None):
            for pattern in patterns:
                self.add(path, "text", Rule("scrub", pattern), one, other)
        elif self.interval is None:
            self.ignore(path, "text", one, other)

    def _are_lines_permuted(self, one: str, other: str) -> bool:
        """Return whether two texts have the same lines in another order, and in none that was intended."""
        if one.count("\n") != other.count("\n") or "\n" not in one:
            return False
        if self.interval and (_is_sorted(one.split("\n")) or _is_sorted(other.split("\n"))):
            return False
        sides = (sorted_lines(scrubbed(text, list(SCRUBS))) for text in (one, other))
        return next(sides) == next(sides)

    def _scrub(self, path: Path, names: Sequence[str], one: Any, other: Any) -> None:
        for name in names:
            self.add(path, name, Rule("scrub", name), one, other)

    def _lists(self, path: Path, one: list[Any], other: list[Any]) -> None:
        if len(one) != len(other):
            if self.interval is None:
                self.ignore(path, "length", one, other)
            return
        order = self._order(one, other)
        if order is not None and self.interval and (_is_sorted(one) or _is_sorted(other)):
            return
        if order is not None:
            self.add(path, "order", self._sorting(path), one, other)
        pairs = ((item, other[order[at] if order else at]) for at, item in enumerate(one))
        for before, after in islice((pair for pair in pairs if not json_same(*pair)), _MAX_ITEMS):
            self.walk((*path, None), before, after)

    def _order(self, one: list[Any], other: list[Any]) -> list[int] | None:
        """Return the permutation of two lists of one length; None if their items do not differ in order only."""
        keys = [[key_of(item) for item in side] for side in (one, other)]
        chars = sum(map(len, keys[0] + keys[1]))
        if order := _permutation(*keys):
            return order
        if chars > _MAX_ORDER_CHARS or not self.budget.take(chars):
            return _permutation_by_field(one, other) if self.interval is None else None
        keys = [[key_of(_all_scrubs().clean(item)) for item in side] for side in (one, other)]
        if keys[0] == keys[1]:
            return None
        order = _permutation(*keys)
        return _permutation_by_field(one, other) if order is None and self.interval is None else order

    def _objects(self, path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
        if one.keys() != other.keys():
            names = covering_scrubs("\n".join(one), "\n".join(other), sorted_lines)
            if names and (self.interval is None or self._are_keys_likely(one, other, names)):
                self._scrub((*path, None), names, sorted(one), sorted(other))
                self._renamed(path, one, other, names)
                return
            if self.interval is None:
                self._missing(path, one, other)
        before = len(self.found)
        for key in (key for key in one if key in other):
            self.walk((*path, _step(key)), one[key], other[key])
        added = unique_places(self.found[before:])
        others = [place for place in added if place.rule and place.rule.option != "ignore"]
        if len(added) - len(others) > _MAX_PLACES:
            self.found[before:] = others
            self.ignore(path, "value", one, other)

    def _are_keys_likely(self, one: dict[str, Any], other: dict[str, Any], names: Sequence[str]) -> bool:
        """Return whether the keys that only one object has are volatile by their nature."""
        sides = ["\n".join(sorted(a.keys() - b.keys())) for a, b in ((one, other), (other, one))]
        return self.interval is not None and are_likely(sides[0], sides[1], names, self.interval)

    def _renamed(self, path: Path, one: dict[str, Any], other: dict[str, Any], names: Sequence[str]) -> None:
        """Walk the values of two objects whose keys are equal once they are scrubbed."""
        sides: list[dict[str, list[Any]]] = []
        for side in (one, other):
            groups: dict[str, list[Any]] = defaultdict(list)
            for key in sorted(side, key=lambda key: key_of(_all_scrubs().clean(side[key]))):
                groups[scrubbed(key, names)].append(side[key])
            sides.append(groups)
        for key, values in sides[0].items():
            for before, after in zip(values, sides[1].get(key, ()), strict=False):
                self.walk((*path, _step(key)), before, after)

    def _missing(self, path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
        """Add the keys that only one of two objects has."""
        missing = [key for key in (*one, *other) if key not in one or key not in other]
        if len(missing) > _MAX_KEYS or any(_step(key) is None for key in missing):
            self.ignore(path, "keys", sorted(one), sorted(other))
            return
        for key in missing:
            self.ignore((*path, key), "keys", one.get(key), other.get(key))


@cache
def _all_scrubs() -> Scrubber:
    return Scrubber.of(list(SCRUBS))


def ignoring(path: Path, common: frozenset[Path] = frozenset(), tool: str | None = None) -> Rule | None:
    """Return the rule that ignores a path, in the calls of one tool if it is known; None for a whole result.

    `common` are paths whose values are whole results or whole contents (`common_paths`). A key `**` can't be written in
    a path, where it stands for any keys.
    """
    if "**" in path:
        return None
    own = _OWN_LEVELS.get(str(path[0]), 0)
    named = path
    while named and named[-1] is None:
        named = named[:-1]
    is_of_all = named in common or not any(isinstance(step, str) for step in path[own:])
    return None if is_of_all else Rule("ignore", format_path(_of_tool(path, tool)))


def _of_tool(path: Path, tool: str | None) -> Path:
    """Return the path in the calls of one tool: a rule for all calls would mask the results of other tools."""
    return ("calls", OfTool(tool), *path[2:]) if tool and path[:2] == ("calls", None) else path


def common_paths(root: Path, result: Any) -> frozenset[Path]:
    """Return the paths in a result that any tool's result has: those of MCP's content and structured content.

    `result` has the form in which results are compared (`diff.transcripts.result_of`).
    """
    if isinstance(result, dict) and result.keys() == {"content", "structured"}:
        content = *root, "content"
        return frozenset({content, (*root, "structured"), *_content_paths(content, result["content"])})
    return frozenset(_content_paths(root, result))


def _content_paths(path: Path, content: Any) -> Iterator[Path]:
    """Yield the paths of what content blocks hold, if a value is a list of them (MCP 2025-11-25, `ContentBlock`)."""
    if not isinstance(content, list) or not all(isinstance(block, dict) and "type" in block for block in content):
        return
    for block in content:
        for key in _HOLDING.get(str(block["type"]), ()):
            yield (*path, None, key)
            if key == "resource":
                yield from ((*path, None, key, inner) for inner in ("text", "blob"))


def _step(key: str) -> str | None:
    """Return the step to a key, or the one to any key if the key is volatile itself."""
    return None if scrubbed(key, list(SCRUBS)) != key or key.startswith("<") else key


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_ports(key: object, one: float, other: float) -> bool:
    """Return whether two numbers are ports that may have been chosen at random."""
    return key == "port" and all(LEAST_PORT <= number < 65_536 for number in (one, other))


def _permutation(one: Sequence[str], other: Sequence[str]) -> list[int] | None:
    """Return the index in the second list of each item of the first; None if these are no permutation."""
    orders = [sorted(range(len(side)), key=side.__getitem__) for side in (one, other)]
    if any(one[a] != other[b] for a, b in zip(*orders, strict=True)):
        return None
    found = [0] * len(one)
    for a, b in zip(*orders, strict=True):
        found[a] = b
    return found


def _is_sorted(items: Sequence[Any]) -> bool:
    """Return whether a list has an order that no chance made: it is sorted, or its objects are by a field."""
    if len(items) < _LEAST_SORTED:
        return False
    if all(isinstance(item, dict) for item in items):
        return any(_is_sorted([item.get(name) for item in items]) for name in items[0])
    if not (all(isinstance(item, str) for item in items) or all(map(_is_number, items))):
        return False
    ordered = sorted(items)
    return ordered[0] != ordered[-1] and list(items) in (ordered, ordered[::-1])


def _permutation_by_field(one: Sequence[Any], other: Sequence[Any]) -> list[int] | None:
    """Return the permutation of two lists of objects by a field that identifies each, such as its name, if any."""
    if not one or not all(isinstance(item, dict) for item in (*one, *other)):
        return None
    for name in one[0]:
        sides = [[key_of(item.get(name)) for item in side] for side in (one, other)]
        if sides[0] != sides[1] and len(set(sides[0])) == len(one) and (found := _permutation(*sides)):
            return found
    return None
