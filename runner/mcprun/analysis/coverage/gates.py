"""Evaluate the gates of a coverage: `--min-coverage`, `--require` and `--waive`. Pure."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from mcprun._util.json_value import JsonObject
from mcprun._util.name_patterns import fits
from mcprun._util.plural import plural
from mcprun._util.similar_names import did_you_mean
from mcprun.analysis.coverage.coverage import Coverage, Share, ToolCoverage, ToolState
from mcprun.runs.run_record import CoverageOutcome, CoverageRecord

_NAMED = 10
"""Maximum tools that a message names."""

_NAME = 60
"""Maximum characters of each of these."""

_ROUNDING = 1e-9
"""Tolerance in tools, so that 0.7 of 10 tools is 7 despite binary fractions."""


@dataclass(frozen=True, slots=True)
class CoverageGates:
    """What the coverage of a run must reach.

    Attributes:
        min_coverage: The share of the tools that must be covered, from 0 to 1; None for any.
        require: The names of tools that must be covered, also if they are waived.
        waive: Patterns of tools that need not be covered, and do not count for `min_coverage`.
    """

    min_coverage: float | None = None
    require: tuple[str, ...] = ()
    waive: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.min_coverage is not None or bool(self.require or self.waive)

    @classmethod
    def of(cls, record: CoverageRecord) -> Self:
        """Return the gates that a run has recorded."""
        return cls(record.min_coverage, tuple(record.require), tuple(record.waive))

    def record(self) -> CoverageRecord:
        """Return the gates as a run records them, before they are evaluated."""
        return CoverageRecord(min_coverage=self.min_coverage, require=[*self.require], waive=[*self.waive])

    def as_json(self, result: GateResult) -> JsonObject:
        """Return the gates and their outcome as the JSON object for `mcprun coverage --json`."""
        outcome = result.record()
        return {
            "min_coverage": self.min_coverage,
            "require": [*self.require],
            "waive": [*self.waive],
            "met": not outcome.failures,
            **outcome.line(),
        }

    def waives(self, coverage: Coverage) -> frozenset[str]:
        """Return the names of the tools that are waived. An exact name takes precedence over a pattern."""
        names = frozenset(tool.name for tool in coverage.tools)
        return frozenset(name for name in names if fits(name, self.waive, names))


@dataclass(frozen=True, slots=True)
class GateResult:
    """The outcome of the gates.

    Attributes:
        covered: The share of the tools that are not waived which are covered.
        failures: One sentence for each gate that is not met.
        notes: Waivers that are not needed: of tools that are called, and patterns that match no tool.
    """

    covered: Share
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def record(self) -> CoverageOutcome:
        """Return the outcome as a run records it."""
        return CoverageOutcome(
            covered=self.covered.done,
            tools=self.covered.total,
            failures=[*self.failures],
            notes=[*self.notes],
        )


def evaluate_gates(coverage: Coverage, gates: CoverageGates) -> GateResult:
    """Return whether a coverage meets its gates, and what is missing, by name."""
    waived = gates.waives(coverage)
    counted = coverage.without(waived)
    failures = [*_below(counted, gates), *_required(coverage.tools, gates.require)]
    return GateResult(counted.covered, tuple(failures), tuple(_needless(coverage, gates, waived)))


def missing_tools(tools: Iterable[ToolCoverage]) -> str:
    """Return the tools that are not covered, by what is missing: `not called: a, b; only failed: c`; empty if none."""
    tools = list(tools)
    labels = ((ToolState.UNCALLED, "not called"), (ToolState.FAILED, "only failed"))
    parts = [
        f"{label}: {named(names)}"
        for state, label in labels
        if (names := [tool.name for tool in tools if tool.state is state])
    ]
    return "; ".join(parts)


def percent(share: Share) -> str:
    """Return a share as a percentage that is never rounded up, such as `66.6 %`; 100 only if nothing is missing."""
    if share.value is None:
        return "0 %"
    return f"{math.floor(share.done * 1000 / share.total) / 10:g} %"


def named(names: Sequence[str]) -> str:
    """Return the first names, and how many are left out: `a, b and 3 more`. A blank name is quoted, a long one cut."""
    more = len(names) - _NAMED
    cut = (name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name in names[:_NAMED])
    shown = ", ".join(name if name.strip() else repr(name) for name in cut)
    return shown + (f" and {more:,} more" if more > 0 else "")


def _below(counted: Coverage, gates: CoverageGates) -> Iterator[str]:
    """Yield why the coverage, without waived tools, is below `--min-coverage`, if it is."""
    least, covered = gates.min_coverage, counted.covered
    if not least or (covered.total and covered.done >= least * covered.total - _ROUNDING):
        return
    required = f"--min-coverage {least:.15g}"
    if not covered.total:
        yield f"no tool counts for {required}: " + (
            "the server lists none" if not gates.waive else "the server lists none that is not waived"
        )
        return
    found = f"{covered.done:,} of {plural(covered.total, 'tool')} ({percent(covered)})"
    yield f"coverage is below {required}: {found}; {missing_tools(counted.tools)}"


def _required(tools: Sequence[ToolCoverage], require: Iterable[str]) -> Iterator[str]:
    """Yield the required tools that are not covered, each with the reason."""
    by_name = {tool.name: tool for tool in tools}
    for name in dict.fromkeys(require):
        tool = by_name.get(name)
        if tool is None:
            yield f"--require {name}: the server lists no such tool{_similar(name, by_name)}"
        elif tool.state is ToolState.FAILED:
            yield f"--require {name}: it is not covered, since {_all_failed(tool)}"
        elif tool.state is ToolState.UNCALLED:
            reason = f": it {tool.unusable}" if tool.unusable else ""
            yield f"--require {name}: it is not covered, since no call reached it{reason}"


def _similar(name: str, names: Iterable[str]) -> str:
    """Return a hint at the name that may be meant, or at one that only looks the same."""
    form = unicodedata.normalize("NFC", name)
    for other in names:
        if unicodedata.normalize("NFC", other) == form:
            return f", but one in another Unicode normal form, which looks the same: {other!a}, not {name!a}"
    return did_you_mean(name, names)


def _all_failed(tool: ToolCoverage) -> str:
    return "its only call failed" if tool.calls == 1 else f"all of its {tool.calls:,} calls failed"


def _needless(coverage: Coverage, gates: CoverageGates, waived: frozenset[str]) -> Iterator[str]:
    """Yield the waivers that a suite no longer needs."""
    if called := [tool.name for tool in coverage.tools if tool.name in waived and tool.calls]:
        yield f"waived, but called: {named(called)}"
    names = [tool.name for tool in coverage.tools]
    for pattern in dict.fromkeys(gates.waive):
        if not any(fits(name, (pattern,), names) for name in names):
            yield f"--waive {pattern} matches no tool of the server"
