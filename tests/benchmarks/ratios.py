"""Compare two measurements: alternate them for several rounds, and take the median of the ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Measurement = Callable[[], float]
"""A function that runs something once and returns its cost."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured ratio: its median, minimum and maximum over all rounds, and the limit `allowed`.

    `values` are the medians of both measurements, in `unit`.
    """

    name: str
    median: float
    minimum: float
    maximum: float
    values: tuple[float, float]
    allowed: float
    unit: str = "s of processor"

    @property
    def is_met(self) -> bool:
        """Whether the median is within the limit."""
        return self.median <= self.allowed


def compare(
    name: str, one: Measurement, other: Measurement, *, allowed: float, rounds: int, unit: str = "s of processor"
) -> Figure:
    """Alternate both measurements for `rounds` rounds, and return their ratio."""
    return figure(name, [(one(), other()) for _ in range(rounds)], allowed=allowed, unit=unit)


def figure(name: str, pairs: Sequence[tuple[float, float]], *, allowed: float, unit: str = "s of processor") -> Figure:
    """Return the ratio of the pairs of measurements, one pair per round."""
    ratios = [left / right for left, right in pairs]
    left, right = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Figure(name, statistics.median(ratios), min(ratios), max(ratios), (left, right), allowed, unit)


def measure(name: str, command: Sequence[str], floor: Sequence[str], *, allowed: float, rounds: int) -> Figure:
    """Alternate a command and its floor, and compare their processor time including children."""
    return compare(name, lambda: _seconds(command), lambda: _seconds(floor), allowed=allowed, rounds=rounds)


def _seconds(command: Sequence[str]) -> float:
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    after = os.times()
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command[:4]} … ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system
