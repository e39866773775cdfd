"""What changed in a query that was run several times: its pass rate, and the ways it goes. Pure.

One run of a query that a model answers tells little. So the repeats of BASE and HEAD are compared as two samples: a
change of the pass rate counts when chance would hardly bring it about (Fisher's exact test), and a way to go that BASE
never went is told as a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import comb

from mcprun._util.json_value import JsonObject, key_of
from mcprun.analysis.diff.transcripts import Change, ComparableTranscript, CompareOptions, spent
from mcprun.runs.records import Verdict

ALPHA = 0.05
"""A change of a pass rate counts when chance alone would bring about one like it less often than this."""

UNTRIED = frozenset({Verdict.ERROR, Verdict.SKIPPED})
"""Verdicts of what came to no judgement: neither better nor worse than anything."""

_NEAREST = 5
"""So many of the commonest ways of BASE a new one is held against, to tell what is new in it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Of so many `runs` of a query, so many `passed`. One that could not be tried (`untried`) is a run as well."""

    passed: int
    runs: int
    untried: int = 0

    @property
    def of_tried(self) -> Rate:
        """The rate of the runs that came to a verdict."""
        return Rate(self.passed, self.runs - self.untried)


@dataclass(frozen=True, slots=True)
class Variant:
    """A way that `runs` of HEAD's repeats went, `repeat` the first of them, and none of BASE's.

    `changes` hold it against the way of BASE that is nearest to it, `against` the first repeat that went so. It is
    `untried` when nothing went that way but runs that could not be tried to their end.
    """

    runs: int
    repeat: int
    against: int
    changes: tuple[Change, ...]
    untried: bool = False


@dataclass(slots=True)
class _Way:
    seen: ComparableTranscript
    repeat: int
    runs: int = 0
    untried: int = 0


@dataclass(slots=True)
class Sample:
    """The repeats of one query on one side, gathered one by one. Memory holds each way to go once.

    `fault` is the exception of the first repeat that could not be compared.
    """

    lens: CompareOptions
    passed: int = 0
    untried: int = 0
    runs: int = 0
    ways: dict[str, _Way] = field(default_factory=dict)
    fault: Exception | None = None
    _first: dict[bool, int] = field(default_factory=dict)
    _spent: dict[str, int] = field(default_factory=dict)

    def add(self, transcript: JsonObject) -> None:
        """Take one repeat: a transcript as its line has it."""
        passed = transcript["verdict"] == Verdict.PASSED
        untried = transcript["verdict"] in UNTRIED
        self.runs += 1
        self.passed += passed
        self.untried += untried
        self._first[passed] = min(self._first.get(passed, transcript["repeat"]), transcript["repeat"])
        try:
            seen = self.lens.seen(transcript)
            key = _key(seen, self.lens)
        except Exception as error:  # noqa: BLE001  it is reported as that of this query
            self.fault = self.fault or error
            return
        way = self.ways.setdefault(key, _Way(seen, transcript["repeat"]))
        way.runs += 1
        way.untried += untried
        way.repeat = min(way.repeat, transcript["repeat"])
        for name, count in spent(transcript).items():
            self._spent[name] = self._spent.get(name, 0) + count

    @property
    def rate(self) -> Rate:
        """How often it passed."""
        return Rate(self.passed, self.runs, self.untried)

    def example(self, *, passed: bool = True) -> int | None:
        """Name the first repeat that passed, or that did not, or any where there is none of those."""
        return self._first.get(passed, self._first.get(not passed))

    @property
    def means(self) -> JsonObject:
        """How many turns and tokens one run takes, in the mean."""
        return {name: round(count / self.runs, 2) for name, count in self._spent.items()}


def new_variants(base: Sample, head: Sample) -> Iterator[Variant]:
    """Give the ways that HEAD goes and BASE never went, the commonest first."""
    known = sorted(base.ways.values(), key=lambda way: -way.runs)[:_NEAREST]
    for key, way in sorted(head.ways.items(), key=lambda item: (-item[1].runs, item[1].repeat)):
        if key not in base.ways:
            told = ((one.repeat, tuple(head.lens.seen_changes(one.seen, way.seen))) for one in known)
            nearest = min(told, key=lambda item: _distance(item[1]))
            yield Variant(way.runs, way.repeat, *nearest, untried=way.untried == way.runs)


def fisher(one: Rate, other: Rate) -> float:
    """Give how likely chance alone makes two rates differ at least as much (R. A. Fisher's exact test, two-sided)."""
    passed, runs = one.passed + other.passed, one.runs + other.runs
    least, most = max(0, passed - other.runs), min(passed, one.runs)
    ways = [comb(one.runs, least) * comb(other.runs, passed - least)]
    for k in range(least, most):  # each from the one before: large binomials take their time
        ways.append(ways[-1] * (one.runs - k) * (passed - k) // ((k + 1) * (other.runs - passed + k + 1)))
    seen = ways[one.passed - least]
    return sum(count for count in ways if count <= seen) / comb(runs, passed)


def is_sure(one: Rate, other: Rate, alpha: float) -> bool:
    """Tell whether a change of a pass rate counts: chance alone brings one like it about less often than `alpha`.

    Of runs that are too few for that, whatever they do, it counts when all passed on one side and none on the other.
    """
    if one.passed * other.runs == other.passed * one.runs:
        return False
    least = fisher(Rate(one.runs, one.runs), Rate(0, other.runs))
    if least >= alpha:
        return {one.passed - one.runs, other.passed} == {0} or {one.passed, other.passed - other.runs} == {0}
    return fisher(one, other) < alpha


def _distance(changes: tuple[Change, ...]) -> int:
    """Tell how far apart two ways are: one call more or less is further than a call that brings something else."""
    return sum(2 if change.what in ("call_added", "call_removed") else 1 for change in changes)


def _key(seen: ComparableTranscript, lens: CompareOptions) -> str:
    """Return text that two ways share when nothing that counts differs between them."""
    aspects = (("input", "calls"), ("result", "results"), ("is_error", "results"))
    names = [name for name, aspect in aspects if aspect in lens.aspects]
    calls = [[call.get("tool"), *map(call.get, names)] for call in seen.calls] if names else []
    return key_of([calls, seen.text, seen.stop, seen.given])
