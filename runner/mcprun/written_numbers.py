"""Read numbers as people write them, with units and separators. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SECONDS: Mapping[str, float] = {
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
"""Seconds of each unit of time."""

_FACTORS: Mapping[str, float] = {
    "%": 0.01, "$": 1, "usd": 1, "dollars": 1, "k": 1e3, "m": 1e6, "b": 1,
    "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
"""Factor of each unit of other numbers."""

_MAX_LENGTH = 40
"""Longer texts are not read."""


def written_seconds(text: str) -> float | None:
    """Return the seconds of a time such as `10m` or `1.5 h`, or None."""
    return _product(text, _SECONDS)


def written_number(text: str) -> float | None:
    """Return a number such as `80%`, `$5`, `1,000` or `16k`, or None."""
    return _product(text.strip().removeprefix("$"), _FACTORS)


def _product(text: str, factors: Mapping[str, float]) -> float | None:
    if len(text) > _MAX_LENGTH:
        return None
    found = re.fullmatch(r"\s*(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?\s*([a-z%$]*)\s*", text.lower(), re.ASCII)
    if not found or (found[3] and found[3] not in factors):
        return None
    return float(found[1].replace(",", "") + (found[2] or "")) * factors.get(found[3], 1)
