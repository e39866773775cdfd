"""Choose the rules for a whole suite: each applies to all of its queries, and must leave something of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.volatile.masking import measure
from mcprun.analysis.volatile.places import Place
from mcprun.analysis.volatile.rules import scrubber_of, sorted_rules

_MAX_QUERIES = 500
"""The most queries that are held to choose rules: those of which all rules together would leave nothing."""


def suite_rules(
    places: Mapping[str, Sequence[Place]], transcripts: Iterable[JsonObject], in_force: Sequence[Rule] = ()
) -> list[Rule]:
    """Return the rules that cover the places, except those that would mask all that is stable in another query.

    Of a scrub that would, the rules for its places alone take its place (`Place.otherwise`), if they would not.

    Args:
        places: The volatile places of each query by its id.
        transcripts: One transcript of each query of the suite, as parsed from its line.
        in_force: The rules that apply already, which stay.
    """
    found = [place for of_query in places.values() for place in of_query]
    wanted = sorted_rules(place.rule for place in found if place.rule)
    others = sorted_rules(place.otherwise for place in found if place.otherwise)
    users = {
        rule: {name for name, of_query in places.items() if any(rule in (one.rule, one.otherwise) for one in of_query)}
        for rule in (*wanted, *others)
    }
    every = scrubber_of([*in_force, *wanted, *others])
    at_risk: dict[str, JsonObject] = {}
    for transcript in transcripts:
        if len(at_risk) < _MAX_QUERIES and measure(transcript, every).is_empty:
            at_risk[transcript["id"]] = transcript
    chosen = _Chosen(list(in_force), users, places, at_risk)
    rejected = {rule for rule in wanted if not chosen.add(rule)}
    for place in found:
        if place.rule in rejected and place.otherwise and place.otherwise not in chosen.rules:
            chosen.add(place.otherwise)
    return [rule for rule in sorted_rules(chosen.rules) if rule not in in_force]


def is_covered(place: Place, rules: Iterable[Rule]) -> bool:
    """Return whether the rules that were chosen for a suite cover a place."""
    rules = set(rules)
    return place.rule in rules or place.otherwise in rules or any(_encloses(rule, place.rule) for rule in rules)


def _encloses(rule: Rule, inner: Rule | None) -> bool:
    """Return whether the value that `inner` ignores or sorts is within the one that `rule` ignores."""
    return inner is not None and inner.option != "scrub" and sorted_rules([rule, inner]) == [rule]


class _Chosen:
    """The rules chosen so far. `at_risk` are transcripts of which all rules together leave nothing."""

    def __init__(
        self,
        rules: list[Rule],
        users: Mapping[Rule, set[str]],
        places: Mapping[str, Sequence[Place]],
        at_risk: Mapping[str, JsonObject],
    ) -> None:
        self.rules = rules
        self._users = users
        self._own = {name: [one.rule for one in places.get(name, ()) if one.rule] for name in at_risk}
        self._at_risk = at_risk

    def add(self, rule: Rule) -> bool:
        """Add a rule, unless it masks all that is left of a query that it is not for. Return whether it is added."""
        for name, transcript in self._at_risk.items():
            before = [*self.rules, *self._own[name]]
            if (
                name not in self._users[rule]
                and not _empties(transcript, before)
                and _empties(transcript, [*before, rule])
            ):
                return False
        self.rules.append(rule)
        return True


def _empties(transcript: JsonObject, rules: Iterable[Rule]) -> bool:
    return measure(transcript, scrubber_of(dict.fromkeys(rules))).is_empty
