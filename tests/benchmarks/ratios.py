"""Measures how much longer one command takes than another: in turns, several times, the median of the ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured ratio: the median over all rounds, with the least and the most; `allowed` is what is promised.

    `seconds` are the medians of processor time of the command and of what it is held against.
    """

    name: str
    median: float
    least: float
    most: float
    seconds: tuple[float, float]
    allowed: float

    @property
    def is_kept(self) -> bool:
        """Whether the promise is."""
        return self.median <= self.allowed


def measure(name: str, command: Sequence[str], floor: Sequence[str], *, allowed: float, rounds: int) -> Figure:
    """Run a command and its floor in turns, and compare the processor time that each takes with its children."""
    taken = [(_seconds(command), _seconds(floor)) for _ in range(rounds)]
    ratios = [one / other for one, other in taken]
    one, other = (statistics.median(side) for side in zip(*taken, strict=True))
    return Figure(name, statistics.median(ratios), min(ratios), max(ratios), (one, other), allowed)


def _seconds(command: Sequence[str]) -> float:
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    after = os.times()
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command[:4]} … ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system
