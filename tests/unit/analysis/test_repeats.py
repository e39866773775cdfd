"""Statistics of repeats: pass^k, Wilson's interval, and required rates."""

from __future__ import annotations

import sys
from itertools import combinations
from math import nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.statistics import pass_at_k, pass_hat_k, wilson
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.transcript import Verdict

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@given(st.integers(1, 7), st.data())
def test_chances_are_those_of_drawing(runs: int, data: st.DataObject) -> None:
    """pass@k and pass^k are the shares of all ways to draw k of the runs that hold one pass, and nothing but passes."""
    passed, k = data.draw(st.integers(0, runs)), data.draw(st.integers(1, runs))
    drawn = list(combinations([True] * passed + [False] * (runs - passed), k))
    assert pass_at_k(k, passed, runs) == pytest.approx(sum(map(any, drawn)) / len(drawn))
    assert pass_hat_k(k, passed, runs) == pytest.approx(sum(map(all, drawn)) / len(drawn))


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_rate(runs: int, data: st.DataObject) -> None:
    """It lies within 0 and 1, holds the rate that was seen, and gets narrower with more runs."""
    passed = data.draw(st.integers(0, runs))
    low, high = wilson(passed, runs)
    assert 0 <= low <= passed / runs <= high <= 1
    wider = wilson(passed * 10, runs * 10)
    assert wider[1] - wider[0] < high - low


def test_the_interval_is_wilsons() -> None:
    """As the textbooks have it."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0, 0.2775328), abs=1e-6)


def test_errors_stay_in_the_denominator() -> None:
    """What could not be tried is no pass, and makes nothing flaky."""
    verdicts = {Verdict.PASSED: 3, Verdict.FAILED: 0, Verdict.ERROR: 1, Verdict.SKIPPED: 1}
    reported = summarize_repeats("q", verdicts, 0.6)
    assert (reported.runs, reported.pass_rate, reported.error, reported.skipped, reported.flaky, reported.is_met) == (
        5,
        0.6,
        1,
        1,
        False,
        True,
    )


@given(st.integers(1, 500), st.data())
def test_a_rate_is_met_by_the_counts_and_not_by_the_rounded_rate(runs: int, data: st.DataObject) -> None:
    """5 of 6 meet 0.8333333, however `pass_rate` is rounded; a rate just above what passed is not met."""
    passed = data.draw(st.integers(1, runs))
    verdicts = {Verdict.PASSED: passed, Verdict.FAILED: runs - passed, Verdict.ERROR: 0, Verdict.SKIPPED: 0}
    rate = passed / runs
    assert summarize_repeats("q", verdicts, rate).is_met
    assert not summarize_repeats("q", verdicts, nextafter(rate, 2)).is_met
