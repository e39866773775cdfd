"""Statistics of pass rates: a confidence interval, pass@k and pass^k, and a test of a difference. Pure."""

from __future__ import annotations

from math import comb, sqrt

_Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


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
