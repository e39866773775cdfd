"""Hypothesis strategies for tools whose names and input schemas the Messages API may reject.

The tests of `ToolSet` and of the linter check that the API accepts the definitions that are made from them.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from mcprun.tools.toolset import ToolSet

names = st.text(min_size=1, max_size=200) | st.sampled_from(["a.b", "a/b", "a_b", "a b", "x" * 200, "x" * 128])

keys = st.text(min_size=1, max_size=80) | st.sampled_from(["a.b", "a b", "a_b", "$ref", "properties", "required"])

leaves = st.sampled_from([{"type": "string"}, {"type": "integer"}, {}, True, {"enum": ["a b", 1]}])


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for schemas of objects whose properties have schemas from `inner`."""
    return st.builds(
        lambda properties, required, extra: {
            "type": "object",
            "properties": properties,
            "required": [key for key in properties if key in required],
            **extra,
        },
        st.dictionaries(keys, inner, max_size=3),
        st.sets(keys),
        st.sampled_from([{}, {"additionalProperties": False}, {"oneOf": [{}]}, {"anyOf": [{"required": ["a b"]}, {}]}]),
    )


schemas = objects(
    st.recursive(leaves, lambda inner: objects(inner) | st.builds(lambda one: {"type": "array", "items": one}, inner), max_leaves=5)
)  # fmt: skip

tools = st.builds(lambda name, schema: {"name": name, "inputSchema": schema}, names, schemas)


def body(toolset: ToolSet) -> dict[str, Any]:
    """Return the body of a request with these tools."""
    messages = [{"role": "user", "content": "hi"}]
    return {"model": "m", "max_tokens": 1, "messages": messages, "tools": list(toolset.definitions)}
