"""How many examples a property is tried with: few by default and always the same, all of them and random ones in CI.

A developer's red test is red again the next time, and nobody waits for examples that CI tries anyway. CI is where the
environment variable `HYPOTHESIS_PROFILE` is `ci`, or where it is absent and `CI` is set.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "quick")
FEWEST = 20


def load_profile() -> None:
    """Set what holds for properties without settings of their own. Nothing is held against the clock: machines are shared."""
    anytime = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("ci", anytime, max_examples=100, derandomize=False, print_blob=True)
    settings.register_profile("quick", anytime, max_examples=FEWEST, derandomize=True, database=None)
    settings.load_profile(PROFILE)


def examples(count: int) -> int:
    """Return `count` in CI, else a tenth of it, but 20 or `count` at least."""
    return count if PROFILE == "ci" else min(count, max(FEWEST, count // 10))
