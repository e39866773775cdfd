"""Measure what rules leave of the results of a query, and what each rule masks. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.forms import is_epoch
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.diff.scrub import Path, Scrubber, remainders
from mcprun.analysis.diff.transcripts import result_of
from mcprun.analysis.volatile.rules import rules_of
from mcprun.runs.option_patterns import scrub


@dataclass(slots=True)
class Masking:
    """What rules mask in the results of one query.

    `leaves` is the number of scalar values in its results. `kept` counts those that are compared, partly masked texts
    in proportion. `values` is the number of values that each rule masks, partly or as a whole.
    """

    leaves: int = 0
    kept: float = 0.0
    values: Counter[Rule] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """The share of the results that is compared, from 0 to 1."""
        return self.kept / self.leaves if self.leaves else 1.0

    @property
    def is_empty(self) -> bool:
        """Whether rules mask all of the results, so that no change of them would be noticed."""
        return bool(self.values) and self.leaves > 0 and self.kept == 0


def measure(transcript: JsonObject, scrubber: Scrubber, rules: Sequence[Rule] | None = None) -> Masking:
    """Return what a scrubber masks in the results of a transcript, as parsed from its line.

    `rules` are those of the scrubber, if they are known.

    Results that mcprun synthesised, such as that of a call that timed out, are left out.
    """
    masking = Masking()
    rules = rules_of(scrubber) if rules is None else rules
    scrubs = [(rule, *pair) for rule, pair in zip(rules, scrubber.patterns, strict=False)]
    rest = rules[len(scrubs) :]
    ignored = list(zip(rest, scrubber.paths, strict=False))
    unordered = list(zip(rest[len(ignored) :], scrubber.unordered, strict=True))
    walk = _Walk(masking, scrubs)
    for number, call in enumerate(transcript["calls"]):
        if call.get("problem") is None:
            at = _Places(ignored, unordered).below("calls").below(number, call).below("result")
            walk.value(result_of(call), at)
    return masking


_RulePaths = Sequence[tuple[Rule, Path]]


@dataclass(frozen=True, slots=True)
class _Places:
    """The rules that apply at or below a value, with the remainders of their paths."""

    ignored: _RulePaths
    unordered: _RulePaths

    def below(self, step: str | int, item: Any = None) -> _Places:
        """Return the rules that apply at or below an item. What encloses it may be ignored, and so is the item then."""
        if not (self.ignored or self.unordered):
            return self
        ended = [(rule, path) for rule, path in self.ignored if not path]
        return _Places([*ended, *_remaining(self.ignored, step, item)], _remaining(self.unordered, step, item))


def _remaining(places: _RulePaths, step: str | int, item: Any) -> list[tuple[Rule, Path]]:
    return [(rule, rest) for rule, path in places if path for rest in remainders([path], step, item)]


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk through a result that counts its leaves."""

    masking: Masking
    scrubs: Sequence[tuple[Rule, re.Pattern[str] | str, str]]

    def value(self, value: Any, at: _Places) -> None:
        """Count the leaves of a value."""
        masking = self.masking
        if hidden := next((rule for rule, path in at.ignored if not path), None):
            masking.values[hidden] += 1
            masking.leaves += _count(value)
            return
        if sorting := next((rule for rule, path in at.unordered if not path), None):
            masking.values[sorting] += isinstance(value, list | str)
        if isinstance(value, dict):
            for key, item in value.items():
                self.value(item, at.below(key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.value(item, at.below(index))
        else:
            masking.leaves += 1
            masking.kept += self._kept(value)

    def _kept(self, leaf: Any) -> float:
        """Return the share of a scalar that is compared, and count the rules that mask some of it."""
        if isinstance(leaf, str):
            return self._kept_text(leaf)
        if isinstance(leaf, int | float) and not isinstance(leaf, bool) and is_epoch(leaf):
            for rule, _, _ in self.scrubs:
                if rule.value == "epoch":
                    self.masking.values[rule] += 1
                    return 0.0
        return 1.0

    def _kept_text(self, text: str) -> float:
        left = text
        for rule, pattern, _ in self.scrubs:
            without = scrub(pattern, "\0", left) if isinstance(pattern, str) else pattern.sub("\0", left)
            self.masking.values[rule] += without != left
            left = without
        total = _content(text) if left != text else 0
        return _content(left) / total if total else 1.0


def _content(text: str) -> int:
    """Count the letters and digits of a text: punctuation around a masked value is no content."""
    return sum(map(str.isalnum, text))


def _count(value: Any) -> int:
    """Count the scalars of a value; at least 1."""
    if isinstance(value, dict):
        return sum(map(_count, value.values())) or 1
    return (sum(map(_count, value)) or 1) if isinstance(value, list) else 1
