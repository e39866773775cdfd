"""Results as expectations that hold again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mcprun.analysis.volatile.expected import expected_value

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
STRING = {"$type": "string"}
NUMBER = {"$type": "number"}


@pytest.mark.parametrize(
    ("value", "expected", "is_volatile"),
    [
        ({"a": [1, "x", None, True]}, {"a": [1, "x", None, True]}, False),
        ({"id": "0d1f7a52-93c4-4f0e-8d5b-1c2e3f4a5b6c", "n": 1}, {"id": STRING, "n": 1}, True),
        ({"at": "2026-03-04T05:06:00Z"}, {"at": STRING}, True),
        ({"born": "1970-01-01"}, {"born": "1970-01-01"}, False),
        (["/tmp/abc123/x"], [STRING], True),
        ({"at": 1772600767}, {"at": NUMBER}, True),
        ({"elapsed_ms": 12}, {"elapsed_ms": NUMBER}, True),
        ({"$regex": "a"}, {"$equals": {"$regex": "a"}}, False),
        ("It is 2026-03-04 05:06:07.", STRING, True),
    ],
)
def test_volatile_parts_become_matchers(value: Any, expected: Any, is_volatile: bool) -> None:
    """What looks volatile is expected by its type only, and all else as it is."""
    assert expected_value(value, NOW) == (expected, is_volatile)
