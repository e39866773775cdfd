"""Collect what rules mask while two runs are compared, and what differs but looks volatile. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Self

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.rule import MAX_SHARES, ComparedShare, MaskedRule, Rule, VolatileSummary
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import Change
from mcprun.analysis.volatile.likelihood import Interval, parse_time
from mcprun.analysis.volatile.masking import measure
from mcprun.analysis.volatile.places import Budget, likely_places
from mcprun.analysis.volatile.rules import rules_of, sorted_rules
from mcprun.runs.conditions import condition_difference
from mcprun.runs.run import Run

MAX_QUERIES = 2_000
"""The most differing queries that are searched for volatile places. Others rarely have other ones."""

MAX_CHARS = 1_000_000
"""The most characters of results that are searched for volatile places."""


@dataclass(slots=True)
class Findings:
    """What one comparison masks, and what looks volatile in it. Feed it through `watch` and `observe`."""

    scrubber: Scrubber
    interval: Interval = field(default_factory=Interval)
    conditions: str = ""
    _rules: dict[Rule, None] = field(default_factory=dict)
    _searched: int = 0
    _budget: Budget = field(default_factory=lambda: Budget(MAX_CHARS))
    _suggested_for: set[str] = field(default_factory=set)
    _values: Counter[Rule] = field(default_factory=Counter)
    _queries: dict[Rule, set[str]] = field(default_factory=dict)
    _shares: dict[str, tuple[float, bool]] = field(default_factory=dict)
    _all_rules: list[Rule] = field(init=False)

    def __post_init__(self) -> None:
        """List the rules once: they are needed for each transcript."""
        self._all_rules = rules_of(self.scrubber)

    @classmethod
    def between(cls, base: Run | None, head: Run | None, scrubber: Scrubber, name: str = "") -> Self:
        """Return the findings of a comparison of two runs. None is a file of transcripts. `name` is the base's."""
        name = name or (str(base.path) if base else "")
        conditions = condition_difference(base.record, head.record, name) if base and head else ""
        return cls(scrubber, _interval(base, head), conditions)

    def watch(self, diffs: Iterable[QueryDiff]) -> Iterator[QueryDiff]:
        """Yield the differences unchanged, and collect the places in them that look volatile."""
        for diff in diffs:
            if self._searched < MAX_QUERIES:
                self.search(diff.id, (*diff.changes, *(change for one in diff.variants for change in one.changes)))
            yield diff

    def search(self, query: str, changes: Iterable[Change]) -> None:
        """Collect the places in the changes of a query that look volatile."""
        self._searched += 1
        try:
            places = likely_places(changes, self.interval, self._budget)
        except Exception:  # noqa: BLE001  a hint must not end the comparison
            return
        for place in places:
            self.suggest(query, place.rule)

    def suggest(self, query: str, rule: Rule | None) -> None:
        """Collect the rule of a place of a query, if it has one."""
        if rule:
            self._rules[rule] = None
            self._suggested_for.add(query)

    def observe(self, transcript: JsonObject) -> None:
        """Measure what the rules mask in a transcript, as parsed from its line."""
        if not self.scrubber:
            return
        try:
            masking = measure(transcript, self.scrubber, self._all_rules)
        except Exception:  # noqa: BLE001  as above
            return
        name = transcript["id"]
        for rule, count in (+masking.values).items():
            self._values[rule] += count
            self._queries.setdefault(rule, set()).add(name)
        if masking.share < 1:
            found = masking.share, masking.is_empty
            self._shares[name] = min(self._shares.get(name, found), found)

    def summary(self, in_force: Sequence[Rule] | None = None) -> VolatileSummary:
        """Return what was collected. By default, all of the scrubber's rules are `in_force`."""
        rules = self._all_rules
        in_force = rules if in_force is None else in_force
        shares = nsmallest(MAX_SHARES, self._shares.items(), key=lambda item: item[1][0])
        return VolatileSummary(
            masked=tuple(
                MaskedRule(rule, self._values[rule], len(self._queries[rule])) for rule in rules if self._values[rule]
            ),
            shares=tuple(ComparedShare(name, round(share, 4), is_empty) for name, (share, is_empty) in shares),
            more_shares=len(self._shares) - len(shares),
            suggested=tuple(rule for rule in sorted_rules(self._rules) if rule not in in_force),
            suggested_for=len(self._suggested_for),
            in_force=tuple(in_force),
            conditions=self.conditions if self._searched else "",
        )


def merged(summaries: Sequence[VolatileSummary], order: Mapping[str, int]) -> VolatileSummary:
    """Return what the comparisons of all shards of a run masked and found. Each query is in one of them.

    `order` is the position of each query in the run, by its id.
    """
    if not summaries:
        return VolatileSummary()
    in_force = summaries[0].in_force
    values, queries = Counter[Rule](), Counter[Rule]()
    for one in (one for summary in summaries for one in summary.masked):
        values[one.rule] += one.values
        queries[one.rule] += one.queries
    found = sorted((one for summary in summaries for one in summary.shares), key=lambda one: order.get(one.id, 0))
    shares = nsmallest(MAX_SHARES, found, key=lambda one: one.share)
    return VolatileSummary(
        masked=tuple(MaskedRule(rule, values[rule], queries[rule]) for rule in in_force if values[rule]),
        shares=tuple(shares),
        more_shares=sum(one.more_shares for one in summaries) + len(found) - len(shares),
        suggested=tuple(sorted_rules(dict.fromkeys(rule for one in summaries for rule in one.suggested))),
        suggested_for=sum(one.suggested_for for one in summaries),
        in_force=in_force,
        conditions=next((one.conditions for one in summaries if one.conditions), ""),
    )


def _interval(base: Run | None, head: Run | None) -> Interval:
    """Return when two runs started."""
    return Interval(*(parse_time(run.record.started) if run else None for run in (base, head)))
