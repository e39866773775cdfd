"""Summarise the repeats of a query: its pass rate, the confidence interval, and whether it is flaky. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb, sqrt

from mcprun.runs.records import RepeatsRecord, Verdict

_Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""

_MAX_K = 10
"""Maximum k for which pass@k and pass^k are computed."""


def summarize_repeats(name: str, verdicts: Mapping[Verdict, int], required: float | None) -> RepeatsRecord:
    """Summarise the repeats of a query. Errors count as runs that did not pass, and are also counted separately."""
    passed, runs = verdicts[Verdict.PASSED], sum(verdicts.values())
    low, high = wilson(passed, runs)
    ks = range(1, min(runs, _MAX_K) + 1)
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
    """Return the 95 % confidence interval of the true pass rate, by the Wilson score (E. B. Wilson, 1927)."""
    rate, square = passed / runs, _Z * _Z / runs
    middle = rate + square / 2
    reach = _Z * sqrt((rate * (1 - rate) + square / 4) / runs)
    low, high = (middle - reach) / (1 + square), (middle + reach) / (1 + square)
    return max(0.0, min(low, rate)), min(1.0, max(high, rate))  # rounding errors would show at 0 and 1


def pass_at_k(k: int, passed: int, runs: int) -> float:
    """Estimate the probability that at least one of `k` tries passes (Chen et al., 2021, "pass@k")."""
    return 1.0 - comb(runs - passed, k) / comb(runs, k)


def pass_hat_k(k: int, passed: int, runs: int) -> float:
    """Estimate the probability that all of `k` tries pass (Yao et al., 2024, "pass^k")."""
    return comb(passed, k) / comb(runs, k)
