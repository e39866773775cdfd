"""Every condition of a tool filter permits less."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcprun.tools.toolset import ToolFilter, ToolSet


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "ba"]), unique=True),
    st.lists(st.sampled_from(["a*", "*b", "b"])),
    st.booleans(),
)
def test_less_is_permitted_with_each_condition(names: list[str], deny: list[str], read_only: bool) -> None:
    """Conditions only ever take away, and what stays fits all of them."""
    listed: list[dict[str, Any]] = [
        {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": len(name) > 1}}
        for name in names
    ]
    whole = ToolSet.of(json.loads(json.dumps(listed)))
    permit = ToolFilter(allow=("a*", "b*"), deny=tuple(deny), read_only=read_only)
    kept = whole.only(permit)
    assert set(kept.names.values()) == {tool["name"] for tool in listed if permit.permits(tool)}
    assert set(kept.names) <= set(whole.names)
    assert [one["name"] for one in kept.definitions] == [
        one["name"] for one in whole.definitions if one["name"] in kept.names
    ]
