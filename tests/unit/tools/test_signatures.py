"""Signatures of tools, from any schema."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from mcprun.report.tools import signature, type_text
from tests.support.tool_lists import lists


@given(lists)
@settings(deadline=None)
def test_signature_of_any_schema_is_one_line(listed: list[dict[str, Any]]) -> None:
    """The signature never contains a line break."""
    for tool in listed:
        assert "\n" not in "".join(signature(tool))


def test_type_text_is_brief() -> None:
    """Circular references end, and long lists are cut."""
    circular = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert type_text(circular, circular) == "a"
    assert type_text({}, {"type": "array", "items": {"type": ["string", "null"]}}) == "(string | null)[]"
    assert type_text({}, {"enum": [1, 2, 3, 4, 5]}) == "1 | 2 | 3 | 4 | …"
