"""What several runs of one query tell: how often it passes, how sure that is, and whether it is flaky. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb, sqrt

from mcprun.runs.records import RepeatsRecord, Verdict

_Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

_MOST_K = 10
"""pass@k and pass^k are given up to this k."""


def summarize_repeats(name: str, verdicts: Mapping[Verdict, int], required: float | None) -> RepeatsRecord:
    """Sum up a query's repeats. An error is no pass: it stays in the denominator, and is counted apart."""
    passed, runs = verdicts[Verdict.PASSED], sum(verdicts.values())
    low, high = wilson(passed, runs)
    ks = range(1, min(runs, _MOST_K) + 1)
    return RepeatsRecord(
        id=name,
        runs=runs,
        passed=passed,
        failed=verdicts[Verdict.FAILED],
        error=verdicts[Verdict.ERROR],
        skipped=verdicts[Verdict.SKIPPED],
        pass_rate=round(passed / runs, 6),
        low=round(low, 6),
        high=round(high, 6),
        pass_at=[round(pass_at_k(k, passed, runs), 6) for k in ks],
        pass_hat=[round(pass_hat_k(k, passed, runs), 6) for k in ks],
        flaky=0 < passed < passed + verdicts[Verdict.FAILED],
        required=required,
    )


def wilson(passed: int, runs: int) -> tuple[float, float]:
    """Give the interval that holds the true pass rate in 95 of 100 cases (E. B. Wilson, 1927)."""
    rate, square = passed / runs, _Z * _Z / runs
    middle = rate + square / 2
    reach = _Z * sqrt((rate * (1 - rate) + square / 4) / runs)
    low, high = (middle - reach) / (1 + square), (middle + reach) / (1 + square)
    return max(0.0, min(low, rate)), min(1.0, max(high, rate))  # at 0 and 1 a rounding error would show


def pass_at_k(k: int, passed: int, runs: int) -> float:
    """Estimate how likely at least one of `k` tries passes (Chen et al., 2021, "pass@k")."""
    return 1.0 - comb(runs - passed, k) / comb(runs, k)


def pass_hat_k(k: int, passed: int, runs: int) -> float:
    """Estimate how likely all of `k` tries pass (Yao et al., 2024, "pass^k")."""
    return comb(passed, k) / comb(runs, k)
