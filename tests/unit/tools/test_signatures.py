"""Signatures of tools, from any schema."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings

from mcprun.report.tools import signature, type_text
from tests.support.tool_lists import lists

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


@given(lists)
@settings(deadline=None)
def test_any_schema_has_a_signature(listed: list[dict[str, Any]]) -> None:
    """However odd, on one line."""
    for tool in listed:
        assert "\n" not in "".join(signature(tool))


def test_types_in_a_few_words() -> None:
    """References in circles end, and long lists are cut."""
    circle = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert type_text(circle, circle) == "a"
    assert type_text({}, {"type": "array", "items": {"type": ["string", "null"]}}) == "(string | null)[]"
    assert type_text({}, {"enum": [1, 2, 3, 4, 5]}) == "1 | 2 | 3 | 4 | …"
