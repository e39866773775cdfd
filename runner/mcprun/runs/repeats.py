"""Summarise the repeats of a query: its pass rate, its confidence interval, and whether it is flaky. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mcprun._util.statistics import pass_at_k, pass_hat_k, wilson
from mcprun.runs.run_record import RepeatsRecord
from mcprun.runs.transcript import Verdict

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
