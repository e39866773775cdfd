"""Aliases of other formats in queries."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.prompts.query import parse_query


@pytest.mark.parametrize(
    ("line", "equivalent"),
    [
        ("Hello", {"prompt": "Hello"}),
        ({"custom_id": "a", "input": "Hello"}, {"id": "a", "prompt": "Hello"}),
        ({"id": 7, "question": "Hello"}, {"id": "7", "prompt": "Hello"}),
        ({"messages": [{"role": "user", "content": "Hello"}]}, {"prompt": "Hello"}),
        (
            {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
            {"system": "S", "prompts": ["a", "b"]},
        ),
        (
            {"custom_id": "a", "params": {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}},
            {"id": "a", "model": "m", "max_tokens": 5, "prompt": "x"},
        ),
        ({"input": [{"role": "user", "content": "x"}], "target": "y"}, {"prompt": "x", "expect": {"text": {"contains": "y"}}}),
        (
            {"prompt": "x", "expected_tool_calls": ["add", {"name": "sub", "arguments": {"a": 1}}]},
            {"prompt": "x", "expect": {"calls": [{"tool": "add"}, {"tool": "sub", "input": {"a": 1}}]}},
        ),
        (
            {"prompt": "x", "script": [{"calls": [{"name": "add", "args": {"a": 1}}]}]},
            {"prompt": "x", "script": [{"calls": [{"tool": "add", "input": {"a": 1}}]}]},
        ),
    ],
)  # fmt: skip
def test_aliases_are_equivalent_to_mcpruns_keys(line: Any, equivalent: dict[str, Any]) -> None:
    """Keys and shapes of other formats parse to the same query as mcprun's own."""
    assert parse_query(line) == parse_query(equivalent)
