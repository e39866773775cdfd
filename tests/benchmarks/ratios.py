"""Measures how much more one thing takes than another: in turns, several times, the median of the ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Measured = Callable[[], float]
"""Does something once and gives what it took."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured ratio: the median over all rounds, with the least and the most; `allowed` is what is promised.

    `values` are the medians of what was measured and of what it is held against, in `unit`.
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
        """Whether the promise is."""
        return self.median <= self.allowed


def compare(
    name: str, one: Measured, other: Measured, *, allowed: float, rounds: int, unit: str = "s of processor"
) -> Figure:
    """Do one and the other in turns, and hold them against each other."""
    return figure(name, [(one(), other()) for _ in range(rounds)], allowed=allowed, unit=unit)


def figure(name: str, taken: Sequence[tuple[float, float]], *, allowed: float, unit: str = "s of processor") -> Figure:
    """Hold what one took against what the other took, given both of each round."""
    ratios = [left / right for left, right in taken]
    left, right = (statistics.median(side) for side in zip(*taken, strict=True))
    return Figure(name, statistics.median(ratios), min(ratios), max(ratios), (left, right), allowed, unit)


def measure(name: str, command: Sequence[str], floor: Sequence[str], *, allowed: float, rounds: int) -> Figure:
    """Run a command and its floor in turns, and compare the processor time that each takes with its children."""
    return compare(name, lambda: _seconds(command), lambda: _seconds(floor), allowed=allowed, rounds=rounds)


def _seconds(command: Sequence[str]) -> float:
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    after = os.times()
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command[:4]} … ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system
