"""Misspelt keywords, and patterns that match no tool."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.checks.misspelt_keywords import KEYWORDS, misspelt
from mcprun.tools.toolset import ToolFilter, unmatched


@pytest.mark.parametrize(
    ("schema", "misspellings"),
    [
        ({"requried": ["a"]}, [("$", "requried", "required")]),
        ({"propertys": {}}, [("$", "propertys", "properties")]),
        ({"additionalproperties": False}, [("$", "additionalproperties", "additionalProperties")]),
        ({"properties": {"a": {"minlenght": 1}}}, [("$.properties.a", "minlenght", "minLength")]),
        ({"anyOf": [{}, {"items": {"maximun": 1}}]}, [("$.anyOf[1].items", "maximun", "maximum")]),
        ({"$defs": {"a": {"typ": "string"}}}, [("$.$defs.a", "typ", "type")]),
        ({"properties": {"requried": {}, "propertys": True}}, []),
        ({"default": {"requried": 1}, "examples": [{"typ": 1}], "enum": [{"typ": 1}]}, []),
        ({"x-requried": 1, "nullable": True, "markdownDescription": "", "propertyOrder": 1, "example": 2}, []),
        ({keyword: {} for keyword in KEYWORDS}, []),
        (True, []),
    ],
)
def test_misspelt_keywords_are_found_in_schemas_only(schema: Any, misspellings: list[tuple[str, str, str]]) -> None:
    """A misspelt keyword is reported with the likely one. Annotations and plain values are not."""
    expected = [
        f"at {path}: {key!r} is not a JSON Schema keyword and has no effect; did you mean {suggestion!r}?"
        for path, key, suggestion in misspellings
    ]
    assert list(misspelt(schema)) == expected


def test_patterns_that_match_no_tool_are_reported() -> None:
    """Patterns that match no tool are reported with their option, or with the id of their query."""
    permit = ToolFilter(allow=("read_*", "wirte_*"), deny=("delete_*",))
    patterns = {("expect.never", "delete_*"): "q", ("tools", "read_?ile"): "r"}
    assert list(unmatched(permit, patterns, [{"name": "read_file"}, {"name": "write_file"}])) == [
        "--allow-tool: 'wirte_*' matches no tool of the server; list them with mcprun tools",
        "--deny-tool: 'delete_*' matches no tool of the server; list them with mcprun tools",
        "expect.never of query 'q': 'delete_*' matches no tool of the server; list them with mcprun tools",
    ]
