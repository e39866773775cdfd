"""Hypothesis strategies for the tools that a server lists, with valid and malformed fields.

The tests of the comparison of tool lists, the linter and tool signatures use them.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.json_strategies import JSON
from tests.support.schema_strategies import of, wholes

hints = st.dictionaries(
    st.sampled_from(["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"]), st.booleans()
)

tools = st.fixed_dictionaries(
    {"name": st.sampled_from("abcd"), "inputSchema": wholes | JSON},
    optional={"description": st.text(max_size=5), "title": JSON, "outputSchema": wholes | JSON, "annotations": hints,
              "_meta": JSON, "icons": JSON},
)  # fmt: skip

lists = st.lists(tools, max_size=4, unique_by=lambda tool: str(tool["name"]))


def tool(name: str = "t", schema: Any = None, **more: Any) -> dict[str, Any]:
    """Return a tool as a server lists it."""
    return {"name": name, "inputSchema": schema or of(a={"type": "string"}), **more}
