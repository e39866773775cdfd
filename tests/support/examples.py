"""Set the number of Hypothesis examples: a few fixed ones locally, the full number of random ones in CI.

A local failure is thus reproducible, and local runs are fast. CI is detected by `HYPOTHESIS_PROFILE=ci`, or by `CI` if
`HYPOTHESIS_PROFILE` is not set.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "quick")
FEWEST = 20


def load_profile() -> None:
    """Register and load the profile of properties without settings of their own.

    There is no deadline, because machines are shared.
    """
    anytime = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("ci", anytime, max_examples=100, derandomize=False, print_blob=True)
    settings.register_profile("quick", anytime, max_examples=FEWEST, derandomize=True, database=None)
    settings.load_profile(PROFILE)


def examples(count: int) -> int:
    """Return `count` in CI, else a tenth of it, but at least 20 (or `count`, if that is less)."""
    return count if PROFILE == "ci" else min(count, max(FEWEST, count // 10))
