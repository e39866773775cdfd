"""How long queries took, as a small chart. Pure: times in, bars out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcprun.report.timings import quantile

_BAR_WIDTH, _BAR_HEIGHT = 46, 96
"""Of the chart, in units of its own; it is scaled."""


_SHORTEST = 1e-5
"""Seconds that what takes no time at all counts as in the chart, which has no place for 0."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the chart: how many times are above `low` and at most `high`, in seconds, and where it is drawn."""

    low: float
    high: float
    count: int
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Latency:
    """How long queries took, in seconds."""

    bars: tuple[Bar, ...]
    width: int
    median: float
    p95: float
    longest: float


def latency(ordered: Sequence[float]) -> Latency:
    """Draw sorted times as a chart: each bar is 1, 2 or 5 times a power of ten wide, so that a long tail is seen."""
    shown = [max(seconds, _SHORTEST) for seconds in ordered]
    edges = [_edge(step) for step in range(_step(shown[0]) - 1, _step(shown[-1]) + 1)]
    counts = [sum(low < seconds <= high for seconds in shown) for low, high in pairwise(edges)]
    most = max(counts)
    bars = tuple(
        Bar(
            low,
            high,
            count,
            at * _BAR_WIDTH,
            round(_BAR_HEIGHT * (1 - count / most), 2),
            round(_BAR_HEIGHT * count / most, 2),
        )
        for at, (low, high, count) in enumerate(zip(edges, edges[1:], counts, strict=False))
    )
    return Latency(bars, len(bars) * _BAR_WIDTH, quantile(ordered, 0.5), quantile(ordered, 0.95), ordered[-1])


def _edge(step: int) -> float:
    """Give the edge with a number, as in 0.001, 0.002, 0.005, 0.01."""
    power, at = divmod(step, 3)
    return float(f"{(1, 2, 5)[at]}e{power}")


def _step(seconds: float) -> int:
    """Give the number of the first edge that is not below a time."""
    step = 3 * math.floor(math.log10(seconds))
    while _edge(step) < seconds:
        step += 1
    return step
