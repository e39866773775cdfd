"""Statistics of pass rates: a confidence interval, pass@k and pass^k, and a test of a difference. Pure."""

from __future__ import annotations

from math import comb, sqrt

ALPHA = 0.05
"""Significance level: a change of a pass rate counts if its p-value is below this."""

_Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def wilson(passed: int, runs: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of the true pass rate, by the Wilson score (E. B. Wilson, 1927)."""
    rate, square = passed / runs, _Z * _Z / runs
    middle = rate + square / 2
    margin = _Z * sqrt((rate * (1 - rate) + square / 4) / runs)
    low, high = (middle - margin) / (1 + square), (middle + margin) / (1 + square)
    return max(0.0, min(low, rate)), min(1.0, max(high, rate))  # rounding errors would show at 0 and 1


def pass_at_k(k: int, passed: int, runs: int) -> float:
    """Estimate the probability that at least one of `k` tries passes (Chen et al., 2021, "pass@k")."""
    return 1.0 - comb(runs - passed, k) / comb(runs, k)


def pass_hat_k(k: int, passed: int, runs: int) -> float:
    """Estimate the probability that all of `k` tries pass (Yao et al., 2024, "pass^k")."""
    return comb(passed, k) / comb(runs, k)


def fisher_exact(passed: int, runs: int, other_passed: int, other_runs: int) -> float:
    """Return the p-value of the difference of two pass rates (R. A. Fisher's exact test, two-sided)."""
    all_passed, all_runs = passed + other_passed, runs + other_runs
    low, high = max(0, all_passed - other_runs), min(all_passed, runs)
    counts = [comb(runs, low) * comb(other_runs, all_passed - low)]
    for k in range(low, high):  # each from the one before: large binomials are slow
        counts.append(counts[-1] * (runs - k) * (all_passed - k) // ((k + 1) * (other_runs - all_passed + k + 1)))
    observed = counts[passed - low]
    return sum(count for count in counts if count <= observed) / comb(all_runs, all_passed)


def mcnemar_exact(gained: int, lost: int) -> float:
    """Return the p-value of a difference of paired results (Q. McNemar's test, exact, two-sided).

    `gained` pairs were right only afterwards, and `lost` only before. Pairs that agree have no influence.
    """
    pairs, fewer = gained + lost, min(gained, lost)
    tail = sum(comb(pairs, k) for k in range(fewer + 1))
    return float(min(1.0, 2 * tail / 2**pairs))
