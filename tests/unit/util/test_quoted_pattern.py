"""Regular expressions in messages."""

from __future__ import annotations

import pytest

from mcprun._util.quoted_pattern import quote_pattern


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [(r"^\d+\.\w$", r"'^\d+\.\w$'"), ("it's", '"it\'s"'), ("a\nb\x1b", r"'a\nb\x1b'"), ("é \u202e", r"'é \u202e'")],
)
def test_a_pattern_is_shown_as_it_was_written(pattern: str, shown: str) -> None:
    """Backslashes are not doubled, and what can't be printed is escaped."""
    assert quote_pattern(pattern) == shown
