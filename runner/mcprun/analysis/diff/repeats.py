"""Compare the repeats of a query: their pass rate and the variants of their conversations. Pure.

A single run of a query that a model answers is weak evidence. So the repeats of BASE and HEAD are compared as two
samples. A change of the pass rate counts if it is statistically significant (Fisher's exact test), and a variant that
never occurred in BASE is reported as new.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mcprun._util.json_value import JsonObject, key_of
from mcprun._util.statistics import fisher_exact
from mcprun.analysis.diff.transcripts import (
    Change,
    ComparableTranscript,
    CompareOptions,
    total_usage,
    variables_of,
)
from mcprun.runs.transcript import Verdict

UNJUDGED = frozenset({Verdict.ERROR, Verdict.SKIPPED})
"""Verdicts of runs that were not judged, and so are neither better nor worse than others."""

_NEAREST = 5
"""Number of BASE's most frequent variants to compare a new one with."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many `runs` of a query `passed`. `runs` includes the `unjudged` ones: errors and skipped runs."""

    passed: int
    runs: int
    unjudged: int = 0

    @property
    def of_judged(self) -> Rate:
        """The rate among the runs that were judged."""
        return Rate(self.passed, self.runs - self.unjudged)


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant that occurs in HEAD (in `runs` repeats, first in `repeat`) but never in BASE.

    `changes` are the differences from the nearest variant of BASE, and `against` is the first repeat of that one. The
    variant `is_unjudged` if each of its runs ended in an error or was skipped.
    """

    runs: int
    repeat: int
    against: int
    changes: tuple[Change, ...]
    is_unjudged: bool = False


@dataclass(slots=True)
class _Observed:
    """A variant. `line` is its first transcript as parsed from its line, if that has variables."""

    transcript: ComparableTranscript
    repeat: int
    line: JsonObject | None = None
    runs: int = 0
    unjudged: int = 0


@dataclass(slots=True)
class Sample:
    """The repeats of one query on one side, added one by one. Each variant is held in memory once.

    `fault` is the exception of the first repeat that could not be compared.
    """

    options: CompareOptions
    passed: int = 0
    unjudged: int = 0
    runs: int = 0
    observed: dict[str, _Observed] = field(default_factory=dict)
    fault: Exception | None = None
    _first: dict[bool, int] = field(default_factory=dict)
    _spent: dict[str, int] = field(default_factory=dict)

    def add(self, transcript: JsonObject) -> None:
        """Add one repeat: a transcript as parsed from its line."""
        passed = transcript["verdict"] == Verdict.PASSED
        unjudged = transcript["verdict"] in UNJUDGED
        self.runs += 1
        self.passed += passed
        self.unjudged += unjudged
        self._first[passed] = min(self._first.get(passed, transcript["repeat"]), transcript["repeat"])
        try:
            seen = self.options.comparable(transcript)
            line = transcript if variables_of(transcript) else None
            key = self.key_of_variant(_key(seen, self.options), line)
        except Exception as error:  # noqa: BLE001  it is reported for this query
            self.fault = self.fault or error
            return
        variant = self.observed.setdefault(key, _Observed(seen, transcript["repeat"], line))
        variant.runs += 1
        variant.unjudged += unjudged
        variant.repeat = min(variant.repeat, transcript["repeat"])
        for name, count in total_usage(transcript).items():
            self._spent[name] = self._spent.get(name, 0) + count

    def key_of_variant(self, key: str, line: JsonObject | None) -> str:
        """Return the key of the variant that differs from a transcript only by the values of variables, else `key`.

        `line` is the transcript, or None if it has no variables.
        """
        if line is None or key in self.observed:
            return key
        for other, variant in self.observed.items():
            if variant.line and _key(self.options.comparable(line, variant.line), self.options) == other:
                return other
        return key

    @property
    def rate(self) -> Rate:
        """The pass rate of all repeats."""
        return Rate(self.passed, self.runs, self.unjudged)

    def example(self, *, passed: bool = True) -> int | None:
        """Return the first repeat that passed (or did not), else the first of the others; None if there is none."""
        return self._first.get(passed, self._first.get(not passed))

    @property
    def means(self) -> JsonObject:
        """The mean turns and tokens of a run."""
        return {name: round(count / self.runs, 2) for name, count in self._spent.items()}


def new_variants(base: Sample, head: Sample) -> Iterator[Variant]:
    """Yield the variants of HEAD that never occur in BASE, the most frequent first."""
    frequent = sorted(base.observed.values(), key=lambda variant: -variant.runs)[:_NEAREST]
    for key, variant in sorted(head.observed.items(), key=lambda item: (-item[1].runs, item[1].repeat)):
        if base.key_of_variant(key, variant.line) not in base.observed:
            compared = ((one.repeat, tuple(_changes(one, variant, head.options))) for one in frequent)
            nearest = min(compared, key=lambda item: _distance(item[1]))
            yield Variant(variant.runs, variant.repeat, *nearest, is_unjudged=variant.unjudged == variant.runs)


def _changes(base: _Observed, head: _Observed, options: CompareOptions) -> Iterator[Change]:
    transcript = options.comparable(head.line, base.line) if base.line and head.line else head.transcript
    return options.comparable_changes(base.transcript, transcript)


def p_value(one: Rate, other: Rate) -> float:
    """Return the p-value of the difference of two pass rates."""
    return fisher_exact(one.passed, one.runs, other.passed, other.runs)


def is_sure(one: Rate, other: Rate, alpha: float) -> bool:
    """Return whether a change of a pass rate is significant: its p-value is below `alpha`.

    If there are too few runs for any change to be significant, it counts if all passed on one side and none on the
    other.
    """
    if one.passed * other.runs == other.passed * one.runs:
        return False
    min_p = fisher_exact(one.runs, one.runs, 0, other.runs)
    if min_p >= alpha:
        return {one.passed - one.runs, other.passed} == {0} or {one.passed, other.passed - other.runs} == {0}
    return p_value(one, other) < alpha


def _distance(changes: tuple[Change, ...]) -> int:
    """Return the distance of two variants: an added or removed call counts 2, any other change 1."""
    return sum(2 if change.what in ("call_added", "call_removed") else 1 for change in changes)


def _key(transcript: ComparableTranscript, options: CompareOptions) -> str:
    """Return a text that is equal for conversations that do not differ in any compared aspect."""
    aspects = (("input", "calls"), ("result", "results"), ("is_error", "results"))
    names = [name for name, aspect in aspects if aspect in options.aspects]
    calls = [[call.get("tool"), *map(call.get, names)] for call in transcript.calls] if names else []
    return key_of([calls, transcript.text, transcript.stop, transcript.opening])
