"""Each condition of a tool filter restricts it further."""

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
def test_filter_only_removes_tools(names: list[str], deny: list[str], read_only: bool) -> None:
    """The remaining tools are a subset, and each of them fulfils all conditions."""
    listed: list[dict[str, Any]] = [
        {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": len(name) > 1}}
        for name in names
    ]
    complete = ToolSet.of(json.loads(json.dumps(listed)))
    tool_filter = ToolFilter(allow=("a*", "b*"), deny=tuple(deny), read_only=read_only)
    filtered = complete.only(tool_filter)
    assert set(filtered.names.values()) == {tool["name"] for tool in listed if tool_filter.permits(tool)}
    assert set(filtered.names) <= set(complete.names)
    assert [definition["name"] for definition in filtered.definitions] == [
        definition["name"] for definition in complete.definitions if definition["name"] in filtered.names
    ]
