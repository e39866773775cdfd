"""Hypothesis strategy for JSON values without matchers, and the equality that the tests of matchers expect."""

from __future__ import annotations

from typing import Any

from mcprun.checks.matchers import is_matcher, problem
from tests.support.json_strategies import JSON

PLAIN = JSON.filter(lambda value: problem(value) is None and not holds_matcher(value))


def holds_matcher(value: Any) -> bool:
    """Whether a value contains a matcher at any depth."""
    if isinstance(value, dict):
        return is_matcher(value) or any(map(holds_matcher, value.values()))
    return isinstance(value, list) and any(map(holds_matcher, value))


def distinguish_booleans(value: Any) -> Any:
    """Replace booleans by tuples, so that `==` does not equate `True` and `1`, as JSON does not."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {key: distinguish_booleans(item) for key, item in value.items()}
    return [distinguish_booleans(item) for item in value] if isinstance(value, list) else value
