"""Inputs of scripts and expectations against the schema of a tool."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.tools.input_check import Unknown, input_problems

TOOL: dict[str, Any] = {
    "name": "save",
    "inputSchema": {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "n": {"type": "integer"},
            "a": {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"], "additionalProperties": False},
            "list": {"type": "array", "items": {"type": "integer"}},
            "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        },
        "required": ["title"],
    },
}  # fmt: skip

MATCHED = Unknown("string", "match yields text", '; add "as": "integer"')
NUMBER = Unknown("integer", "as yields an integer")
MISSING = ("title", "is missing, but required")


@pytest.mark.parametrize(
    ("value", "problems", "partial_problems"),
    [
        ({"title": "x"}, [], []),
        ({}, [MISSING], []),
        ({"titel": "x"}, [("titel", "there is no such argument; did you mean 'title'?"), MISSING], [("titel", "there is no such argument; did you mean 'title'?")]),
        ({"title": 3}, [("title", "3 is not of type 'string'")], [("title", "3 is not of type 'string'")]),
        ({"title": "x", "a": {"b": "y"}}, [("a.b", "'y' is not of type 'integer'")], [("a.b", "'y' is not of type 'integer'")]),
        ({"title": "x", "a": {}}, [("a.b", "is missing, but required")], []),
        ({"title": "x", "a": {"b": 1, "zzz": 1}}, [("a.zzz", "there is no such argument; the keys are 'b'")], [("a.zzz", "there is no such argument; the keys are 'b'")]),
        ({"title": "x", "list": [1, "y"]}, [("list[1]", "'y' is not of type 'integer'")], [("list[1]", "'y' is not of type 'integer'")]),
        ({"title": "x", "zzz": 1}, [], []),
        ({"title": Unknown(), "n": Unknown()}, [], []),
        ({"title": MATCHED, "n": NUMBER, "maybe": NUMBER}, [], []),
        ({"title": "x", "n": MATCHED}, [("n", 'must be an integer, but match yields text; add "as": "integer"')], [("n", 'must be an integer, but match yields text; add "as": "integer"')]),
        ({"title": "x", "list": [MATCHED, "y"]}, [("list[0]", 'must be an integer, but match yields text; add "as": "integer"'), ("list[1]", "'y' is not of type 'integer'")], [("list[0]", 'must be an integer, but match yields text; add "as": "integer"'), ("list[1]", "'y' is not of type 'integer'")]),
        ({"title": NUMBER}, [("title", "must be a string, but as yields an integer")], [("title", "must be a string, but as yields an integer")]),
    ],
)  # fmt: skip
def test_known_parts_are_checked(
    value: dict[str, Any], problems: list[tuple[str, str]], partial_problems: list[tuple[str, str]]
) -> None:
    """Names, required keys and values are checked, but not what is unknown or, in part of an input, absent."""
    assert [found[:2] for found in input_problems(TOOL, value)] == problems
    assert [found[:2] for found in input_problems(TOOL, value, is_partial=True)] == partial_problems


@pytest.mark.parametrize("schema", [None, 5, {"type": 5}, {"properties": []}, {"type": "object"}])
def test_a_schema_that_is_not_usable_accepts_all(schema: Any) -> None:
    """A malformed schema of a server is no fault of the prompts file."""
    assert input_problems({"name": "t", "inputSchema": schema}, {"a": Unknown()}) == []
