"""Misspelt keywords, and patterns that match no tool."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.checks.misspelt_keywords import KEYWORDS, misspelt
from mcprun.tools.toolset import ToolFilter, unmatched


@pytest.mark.parametrize(
    ("schema", "message"),
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
def test_misspelt_keywords_are_found_where_there_are_schemas(schema: Any, message: list[tuple[str, str, str]]) -> None:
    """With what is probably meant; annotations and plain values are nobody's mistake."""
    expected = [
        f"at {at}: {key!r} is not a JSON Schema keyword and has no effect; did you mean {meant!r}?"
        for at, key, meant in message
    ]
    assert list(misspelt(schema)) == expected


def test_patterns_that_fit_no_tool() -> None:
    """Those of flags, and those of queries with the query's id."""
    permit = ToolFilter(allow=("read_*", "wirte_*"), deny=("delete_*",))
    patterns = {("expect.never", "delete_*"): "q", ("tools", "read_?ile"): "r"}
    assert list(unmatched(permit, patterns, [{"name": "read_file"}, {"name": "write_file"}])) == [
        "--allow-tool: 'wirte_*' matches no tool of the server; list them with mcprun tools",
        "--deny-tool: 'delete_*' matches no tool of the server; list them with mcprun tools",
        "expect.never of query 'q': 'delete_*' matches no tool of the server; list them with mcprun tools",
    ]
