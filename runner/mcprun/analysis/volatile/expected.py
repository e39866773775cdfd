"""Turn a result into an expectation that holds again, although parts of the result are volatile. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mcprun.analysis.diff.forms import is_epoch
from mcprun.analysis.volatile.likelihood import compiled_scrubs, is_measured_key, likely_alone, text_before
from mcprun.checks.matchers import is_matcher

_MAX_CHARS = 100_000
"""Longer texts count as volatile: no expectation should hold them."""


def expected_value(value: Any, now: datetime, key: str = "") -> tuple[Any, bool]:
    """Return the `expect` form of a value, and whether a matcher of its type replaces anything that looks volatile.

    `now` is when the value was made, in UTC, and `key` the key that holds it.
    """
    if isinstance(value, dict):
        items = {name: expected_value(item, now, name) for name, item in value.items()}
        if is_matcher(value):
            return {"$equals": value}, any(is_volatile for _, is_volatile in items.values())
        return {name: item for name, (item, _) in items.items()}, any(found for _, found in items.values())
    if isinstance(value, list):
        found = [expected_value(item, now, key) for item in value]
        return [item for item, _ in found], any(is_volatile for _, is_volatile in found)
    if isinstance(value, str):
        return ({"$type": "string"}, True) if is_volatile_text(value, now) else (value, False)
    if value is None or isinstance(value, bool):
        return value, False
    if is_measured_key(key) or (is_epoch(value) and likely_alone("epoch", str(value), "", now)):
        return {"$type": "number"}, True
    return value, False


def is_volatile_text(text: str, now: datetime) -> bool:
    """Return whether a text has a part that looks volatile: an id, a time near `now`, a temporary path, a port."""
    if len(text) > _MAX_CHARS:
        return True
    return any(
        likely_alone(name, match[0], text_before(match), now)
        for name, pattern in compiled_scrubs().items()
        for match in pattern.finditer(text)
    )
