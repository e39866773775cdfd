"""The queries of a run over time, a lane for each worker, as compact JSON for `lanes.js` to draw. Pure."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from mcprun._util.json_value import JsonObject
from mcprun.report.timings import QueryTimes, Timings

_TOLERANCE_S = 0.002
"""How much queries of one lane may overlap, in seconds: the trace records milliseconds."""

_LEAST_PAUSE_S = 1.0
"""A shorter time between the processes of a resumed run is drawn as it is."""

Interval = tuple[float, float]
"""Start and end of a query as Unix timestamps."""


class Lanes:
    """Collects when each row of the table ran, and on which worker."""

    def __init__(self) -> None:
        self._intervals: list[Interval | None] = []
        self._workers: list[int | None] = []

    def add(self, times: QueryTimes | None) -> None:
        """Add the next row. `times` is None if the trace does not have it."""
        start = times.start if times else None
        self._intervals.append(None if start is None else (start, start + ((times and times.seconds) or 0.0)))
        self._workers.append(times.worker if times else None)

    def data(self, timings: Timings) -> JsonObject | None:
        """Return the chart, or None if nothing was timed.

        `start` and `lane` have a value for each row, `null` if it has no times. `ms` is the length of the time axis,
        `restarts` are moments on it, and `resumed` pairs of a moment and the seconds that are cut out there. All times
        but these seconds are in milliseconds. `is_packed` is set if the trace does not name the workers: the lanes are
        then as few as the queries need.
        """
        known = [one for one in self._intervals if one]
        if not known:
            return None
        axis = _Axis(known, timings.started)
        lanes = self._lanes()
        return {
            "start": [one and axis.ms(one[0]) for one in self._intervals],
            "lane": lanes or pack(self._intervals),
            "ms": max(1, *(axis.ms(end) for _, end in known)),
            "restarts": [axis.ms(at) for at in timings.restarted],
            "more_restarts": timings.restarts - len(timings.restarted),
            "resumed": [[axis.ms(at), round(seconds)] for at, seconds in axis.cuts],
            "is_packed": lanes is None,
        }

    def _lanes(self) -> list[int | None] | None:
        """Return the lane of each row by its worker; None unless the worker of each is known."""
        pairs = list(zip(self._intervals, self._workers, strict=True))
        if any(interval and worker is None for interval, worker in pairs):
            return None
        numbers = {worker: at for at, worker in enumerate(sorted({one for one in self._workers if one is not None}))}
        return [numbers[worker] if interval and worker is not None else None for interval, worker in pairs]


def pack(intervals: Sequence[Interval | None]) -> list[int | None]:
    """Return a lane for each interval, so that those of one lane do not overlap and lanes are as few as possible."""
    lanes: list[int | None] = [None] * len(intervals)
    running: list[tuple[float, int]] = []
    free: list[int] = []
    count = 0
    for start, end, at in sorted((*one, at) for at, one in enumerate(intervals) if one):
        while running and running[0][0] <= start + _TOLERANCE_S:
            heapq.heappush(free, heapq.heappop(running)[1])
        lane = heapq.heappop(free) if free else count
        count = max(count, lane + 1)
        lanes[at] = lane
        heapq.heappush(running, (end, lane))
    return lanes


class _Axis:
    """The time axis: it begins with the run, and leaves out the time between the processes of a resumed run.

    `cuts` are pairs of the moment at which a process started and the seconds that are left out before it.
    """

    def __init__(self, intervals: Sequence[Interval], started: Sequence[float]) -> None:
        starts, ends = sorted(start for start, _ in intervals), sorted(end for _, end in intervals)
        self._zero = min(starts[0], started[0]) if started else starts[0]
        self.cuts: list[tuple[float, float]] = []
        for at in sorted(started)[1:]:
            is_idle = bisect_left(starts, at) <= bisect_right(ends, at)  # shards that were merged run side by side
            before = ends[bisect_right(ends, at) - 1] if ends[0] <= at else self._zero
            if is_idle and at - before >= _LEAST_PAUSE_S:
                self.cuts.append((at, at - before))
        self._moments = [at for at, _ in self.cuts]
        self._left_out: list[float] = list(accumulate((seconds for _, seconds in self.cuts), initial=0.0))

    def ms(self, at: float) -> int:
        """Return the place of a moment on the axis, in milliseconds."""
        return max(0, round(1000 * (at - self._zero - self._left_out[bisect_right(self._moments, at + _TOLERANCE_S)])))
