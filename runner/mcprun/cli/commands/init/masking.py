"""Find what differs between the tries of the queries, and the rules that leave it out of comparisons. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.volatile.detect import find_volatile
from mcprun.analysis.volatile.masking import Masking, measure
from mcprun.analysis.volatile.places import Place
from mcprun.analysis.volatile.rules import OPTIONS, rules_of, scrubber_of, sorted_rules
from mcprun.analysis.volatile.suite_rules import is_covered, suite_rules
from mcprun.prompts.generate import FirstPrompts
from mcprun.prompts.tried import Tries, outcome_of

_MAX_LISTED, _MAX_SHARES = 4, 8
"""Maximum number of places, of queries, and of shares that a line of the summary lists."""

_NOTHING_LEFT = "all of its results differ in each run, so that nothing is compared"


@dataclass(frozen=True, slots=True)
class Masked:
    """What differs between the tries: the rules that cover it, and by the ids of queries its places and what is left.

    `unstable` maps queries that no rule covers to what differs.
    """

    rules: Sequence[Rule] = ()
    places: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    left: Mapping[str, Masking] = field(default_factory=dict)
    unstable: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, list[str]]:
        """The values of each option that excludes differences."""
        by_option = {option: [rule.value for rule in self.rules if rule.option == option] for option in OPTIONS}
        return {option: values for option, values in by_option.items() if values}

    @property
    def summary(self) -> dict[str, str]:
        """The places of each rule, and the queries that they are in."""
        found: dict[str, str] = {}
        for rule in self.rules:
            places = [
                (place.path, name)
                for name, all_ in self.places.items()
                for place in all_
                if rule in (place.rule, place.otherwise)
            ]
            paths, names = (list(dict.fromkeys(one)) for one in zip(*places, strict=True)) if places else ([], [])
            if places:
                where = "" if paths == [rule.value] else f"at {_listed(paths)} "
                found[f"{rule.key} {rule.value}"] = f"{where}(in {_listed(names)})"
        return found

    @property
    def compared(self) -> str:
        """How much of the results is compared, the least first, for the queries that something is masked of."""
        shares = [(masking.share, name) for name, masking in self.left.items() if masking.values and masking.share < 1]
        return _listed([f"{name} {100 * share:.0f} %" for share, name in sorted(shares)], _MAX_SHARES)


def find_masked(tries: Tries, configured: Mapping[str, Any], now: datetime) -> Masked:
    """Return what differs between the tries beyond the rules that the project has configured.

    `now` is when the tries were made, in UTC. What works in one try only is noted by then, and not examined.
    """
    before = Scrubber.of(*(_items(configured.get(option)) for option in OPTIONS))
    places: dict[str, list[Place]] = {}
    lines = {name: [one.line() for one in found] for name, found in tries.transcripts.items()}
    for name, found in lines.items():
        places[name] = find_volatile(found, CompareOptions(scrubber=before), now)
    in_force = rules_of(before)
    noted = {
        name for name in tries.first.notes if any(outcome_of(one).works for one in tries.transcripts.get(name, ()))
    }
    maskable = {name: found for name, found in places.items() if name in noted or all(one.rule for one in found)}
    added = suite_rules(maskable, [found[0] for found in lines.values()], in_force)
    unstable = {
        name: _described(uncovered[0])
        for name, found in places.items()
        if name not in noted and (uncovered := [place for place in found if not is_covered(place, added)])
    }
    rules = sorted_rules([*in_force, *added])
    scrubber = scrubber_of(rules)
    for name, (first, *others) in lines.items():
        if name not in {*unstable, *noted} and any(_differ(first, other, scrubber) for other in others):
            unstable[name] = places[name][0].path if places[name] else "its result"
    left = {name: measure(found[0], scrubber) for name, found in lines.items() if name not in unstable}
    return Masked(rules, places, left, unstable)


def differing(tries: Tries, now: datetime) -> list[str]:
    """Return the ids of the queries that differ between their tries, even if only in a time.

    Two tries of a random value may agree by chance, or differ in its order only, so that more of them are needed.
    """
    return [
        name
        for name, found in tries.transcripts.items()
        if find_volatile([one.line() for one in found], CompareOptions(), now)
    ]


def without_unstable(first: FirstPrompts, masked: Masked) -> FirstPrompts:
    """Leave out the queries that differ whatever is masked, and note those of which nothing is left to compare."""
    left_out = {name: _why_left_out(first.notes.get(name), what) for name, what in masked.unstable.items()}
    empty = {name for name, masking in masked.left.items() if masking.is_empty}
    queries = [
        {**query, "metadata": {"todo": _NOTHING_LEFT}} if query["id"] in empty and "metadata" not in query else query
        for query in first.queries
        if query["id"] not in left_out
    ]
    notes = {**dict.fromkeys(sorted(empty), _NOTHING_LEFT), **first.notes}
    return replace(
        first,
        queries=tuple(queries),
        left_out={**first.left_out, **left_out},
        notes={name: why for name, why in notes.items() if name not in left_out},
        red=first.red - left_out.keys(),
    )


def _why_left_out(failure: str | None, what: str) -> str:
    return f"{failure}, and differs in each try: {what}" if failure else f"its result differs in each try: {what}"


def _described(place: Place) -> str:
    """Return what no rule covers, and why."""
    why = f", and {place.rule.flag} would leave nothing of another query to compare" if place.rule else ""
    return f"{place.kind} at {place.path}{why}"


def _differ(first: JsonObject, other: JsonObject, scrubber: Scrubber) -> bool:
    return any(CompareOptions(scrubber=scrubber).changes(first, other))


def _listed(items: Sequence[str], most: int = _MAX_LISTED) -> str:
    more = [f"{len(items) - most:,} more"] if len(items) > most else []
    return ", ".join([*items[:most], *more])


def _items(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else list(value or ())
