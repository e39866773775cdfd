"""Find what is volatile in a whole suite, from several runs of it on a server that did not change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.volatile.detect import find_volatile
from mcprun.analysis.volatile.findings import Findings
from mcprun.analysis.volatile.likelihood import parse_time
from mcprun.analysis.volatile.places import Place
from mcprun.analysis.volatile.rules import rules_of, scrubber_of
from mcprun.analysis.volatile.suite_rules import suite_rules
from mcprun.runs.run import Run


@dataclass(frozen=True, slots=True)
class VolatileQuery:
    """A query with the volatile places that the rules in force do not cover."""

    id: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class VolatileSuite:
    """What is volatile in a suite of `queries` queries that ran in `passes` runs.

    `volatile` holds the queries with places that the rules in force do not cover, in the order of the first run. The
    `summary` suggests the rules that are missing, and measures what all rules together leave of the results.
    """

    passes: int
    queries: int
    volatile: tuple[VolatileQuery, ...]
    summary: VolatileSummary

    @property
    def is_stable(self) -> bool:
        """Whether the rules in force cover everything."""
        return not self.volatile


def compare_passes(runs: Sequence[Run], scrubber: Scrubber) -> VolatileSuite:
    """Compare two or more runs of one suite. `scrubber` holds the rules in force.

    A query that not all runs have is compared among those that have it. Raises `UsageError` if a run is damaged.
    """
    options = CompareOptions(scrubber=scrubber)
    started = parse_time(runs[0].record.started) or datetime.now(UTC)
    volatile: list[VolatileQuery] = []
    count = 0
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(closing(run))
        for name, tries in _tries(runs):
            count += 1
            if places := find_volatile(tries, options, started):
                volatile.append(VolatileQuery(name, tuple(places)))
        summary = _measured(runs[-1], scrubber, volatile)
    return VolatileSuite(len(runs), count, tuple(volatile), summary)


def _tries(runs: Sequence[Run]) -> Iterator[tuple[str, list[JsonObject]]]:
    """Yield each query with its transcripts, repeats included: at least two."""
    repeats: dict[str, list[int]] = {}
    for name, repeat in runs[0].index:
        repeats.setdefault(name, []).append(repeat)
    for name, numbers in repeats.items():
        tries = [
            run.at(place).line()
            for run in runs
            for repeat in numbers
            if (place := run.index.get((name, repeat))) is not None
        ]
        if len(tries) > 1:
            yield name, tries


def _measured(run: Run, scrubber: Scrubber, volatile: Sequence[VolatileQuery]) -> VolatileSummary:
    """Return what the rules in force and the missing ones mask in a run."""
    in_force = rules_of(scrubber)
    places = {query.id: query.places for query in volatile}
    missing = suite_rules(places, (one.line() for one in run.transcripts()), in_force)
    found = Findings(scrubber_of([*in_force, *missing]))
    for query in volatile:
        for place in query.places:
            for rule in (place.rule, place.otherwise):
                found.suggest(query.id, rule if rule in missing else None)
    for transcript in run.transcripts():
        found.observe(transcript.line())
    return found.summary(in_force)
