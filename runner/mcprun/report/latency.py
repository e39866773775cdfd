"""A histogram of query durations. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcprun.report.timings import quantile

_BAR_WIDTH, _BAR_HEIGHT = 46, 96
"""Width of one bar and height of the chart, in SVG user units; the page scales them."""


_SHORTEST = 1e-5
"""Shortest duration in the chart, in seconds, because its logarithmic axis has no 0."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: the number of durations above `low` and at most `high`, in seconds, and its position in the chart."""

    low: float
    high: float
    count: int
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Latency:
    """A histogram of query durations and its statistics, in seconds."""

    bars: tuple[Bar, ...]
    width: int
    median: float
    p95: float
    longest: float


def latency(ordered: Sequence[float]) -> Latency:
    """Return the histogram of sorted durations in seconds.

    Bins end at 1, 2 and 5 times powers of ten, so that a long tail stays visible.
    """
    shown = [max(seconds, _SHORTEST) for seconds in ordered]
    edges = [_edge(step) for step in range(_step(shown[0]) - 1, _step(shown[-1]) + 1)]
    counts = [sum(low < seconds <= high for seconds in shown) for low, high in pairwise(edges)]
    max_count = max(counts)
    bars = tuple(
        Bar(
            low=low,
            high=high,
            count=count,
            x=at * _BAR_WIDTH,
            y=round(_BAR_HEIGHT * (1 - count / max_count), 2),
            height=round(_BAR_HEIGHT * count / max_count, 2),
        )
        for at, (low, high, count) in enumerate(zip(edges, edges[1:], counts, strict=False))
    )
    return Latency(bars, len(bars) * _BAR_WIDTH, quantile(ordered, 0.5), quantile(ordered, 0.95), ordered[-1])


def _edge(step: int) -> float:
    """Return the bin edge with a number; consecutive ones are 0.001, 0.002, 0.005, 0.01."""
    power, at = divmod(step, 3)
    return float(f"{(1, 2, 5)[at]}e{power}")


def _step(seconds: float) -> int:
    """Return the number of the first bin edge at or above a duration."""
    step = 3 * math.floor(math.log10(seconds))
    while _edge(step) < seconds:
        step += 1
    return step
