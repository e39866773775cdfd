"""Statistics of repeats: pass^k, Wilson's interval, and required rates."""

from __future__ import annotations

from itertools import combinations
from math import nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.statistics import pass_at_k, pass_hat_k, wilson
from mcprun.runs.repeats import summarize_repeats
from mcprun.runs.transcript import Verdict


@given(st.integers(1, 7), st.data())
def test_pass_at_k_and_pass_hat_k_equal_exhaustive_enumeration(runs: int, data: st.DataObject) -> None:
    """pass@k is the share of all draws of k runs with at least one pass, and pass^k the share with passes only."""
    passed, k = data.draw(st.integers(0, runs)), data.draw(st.integers(1, runs))
    drawn = list(combinations([True] * passed + [False] * (runs - passed), k))
    assert pass_at_k(k, passed, runs) == pytest.approx(sum(map(any, drawn)) / len(drawn))
    assert pass_hat_k(k, passed, runs) == pytest.approx(sum(map(all, drawn)) / len(drawn))


@given(st.integers(1, 500), st.data())
def test_the_interval_contains_the_rate(runs: int, data: st.DataObject) -> None:
    """Wilson's interval lies within 0 and 1, contains the observed rate, and narrows with more runs."""
    passed = data.draw(st.integers(0, runs))
    low, high = wilson(passed, runs)
    assert 0 <= low <= passed / runs <= high <= 1
    larger_sample = wilson(passed * 10, runs * 10)
    assert larger_sample[1] - larger_sample[0] < high - low


def test_the_interval_matches_published_values() -> None:
    """`wilson` returns the textbook values of Wilson's score interval."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0, 0.2775328), abs=1e-6)


def test_errors_and_skips_count_as_runs_but_not_as_flaky() -> None:
    """Errors and skipped runs lower the pass rate, and do not make a query flaky."""
    verdicts = {Verdict.PASSED: 3, Verdict.FAILED: 0, Verdict.ERROR: 1, Verdict.SKIPPED: 1}
    summary = summarize_repeats("q", verdicts, 0.6)
    assert (summary.runs, summary.pass_rate, summary.error, summary.skipped, summary.flaky, summary.is_met) == (
        5,
        0.6,
        1,
        1,
        False,
        True,
    )


@given(st.integers(1, 500), st.data())
def test_a_required_rate_is_compared_with_the_unrounded_rate(runs: int, data: st.DataObject) -> None:
    """5 of 6 meet 0.8333333, however `pass_rate` is rounded, and the next float above the rate is not met."""
    passed = data.draw(st.integers(1, runs))
    verdicts = {Verdict.PASSED: passed, Verdict.FAILED: runs - passed, Verdict.ERROR: 0, Verdict.SKIPPED: 0}
    rate = passed / runs
    assert summarize_repeats("q", verdicts, rate).is_met
    assert not summarize_repeats("q", verdicts, nextafter(rate, 2)).is_met
