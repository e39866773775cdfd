"""Lanes of queries over time: workers, packing, restarts and resumed runs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcprun.report.html.lanes import Lanes, pack
from mcprun.report.timings import QueryTimes, Timings


def query(start: float, seconds: float, worker: int | None = None) -> QueryTimes:
    """Return the times of a query."""
    return QueryTimes(1, seconds=seconds, start=start, worker=worker)


def data_of(timings: Timings, *queries: QueryTimes | None) -> Any:
    """Return the chart of these rows."""
    lanes = Lanes()
    for one in queries:
        lanes.add(one)
    return lanes.data(timings)


def test_each_worker_has_a_lane() -> None:
    """Lanes are in the order of the workers' numbers, and the axis begins with the run."""
    timings = Timings(started=[100.0], restarts=3, restarted=[101.5, 102.0])
    chart = data_of(timings, query(101, 1, worker=7), None, query(101.5, 0.5, worker=2), query(102, 1, worker=7))
    assert chart == {
        "start": [1000, None, 1500, 2000], "lane": [1, None, 0, 1], "ms": 3000, "restarts": [1500, 2000],
        "more_restarts": 1, "resumed": [], "is_packed": False,
    }  # fmt: skip


def test_queries_without_a_worker_are_packed() -> None:
    """In a trace of an earlier version, a query takes the first lane that is free. A millisecond is no overlap."""
    chart = data_of(Timings(), query(10, 1), query(10.5, 1), query(10.999, 1), query(12, 1))
    assert (chart["lane"], chart["is_packed"]) == ([0, 1, 0, 0], True)


def test_the_time_before_a_run_was_resumed_is_cut_out() -> None:
    """The axis goes on where the process before ended, and says how long the pause was."""
    timings = Timings(started=[0.0, 3600.0], restarted=[3601.0])
    chart = data_of(timings, query(1, 9, worker=0), query(3602, 5, worker=0))
    assert (chart["start"], chart["ms"], chart["restarts"], chart["resumed"]) == (
        [1000, 12000],
        17000,
        [11000],
        [[10000, 3590]],
    )


def test_shards_that_ran_at_the_same_time_stay_beside_each_other() -> None:
    """A start while other queries run is not a resumption."""
    chart = data_of(Timings(started=[0.0, 5.0]), query(1, 9, worker=0), query(6, 2, worker=1))
    assert (chart["start"], chart["resumed"]) == ([1000, 6000], [])


def test_a_run_without_times_has_no_chart() -> None:
    """A baseline keeps no trace, and a query that was interrupted has no end."""
    assert data_of(Timings(), None, QueryTimes(1)) is None
    assert data_of(Timings()) is None


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 300)), max_size=60))
def test_packed_queries_do_not_overlap(made: list[tuple[int, int]]) -> None:
    """As many lanes are used as queries run at the same time."""
    intervals = [(float(start), float(start + length)) for start, length in made]
    lanes = pack(intervals)
    for lane in set(lanes):
        mine = sorted(one for one, at in zip(intervals, lanes, strict=True) if at == lane)
        assert all(one[1] <= other[0] + 0.01 for one, other in pairwise(mine))
    if all(start < end for start, end in intervals):
        most = max((sum(start <= at < end for start, end in intervals) for at, _ in intervals), default=0)
        assert len(set(lanes)) == most
