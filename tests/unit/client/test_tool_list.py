"""Tools that MCP does not allow, in a list."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.client.list_items import TOOLS, read_page
from mcprun.tools.lint import lint
from mcprun.tools.toolset import ToolSet
from tests.support.canned_bytes import TOOL

IGNORED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"annotations": "none"}, "annotations is text, not an object"),
    ({"annotations": {"readOnlyHint": "maybe"}}, "annotations.readOnlyHint is text, not true or false"),
    ({"annotations": {"title": 5}}, "annotations.title is a number, not text"),
    ({"icons": "a.png"}, "icons is text, not a list"),
    ({"icons": [{"src": 1}]}, "icons[0].src is a number, not text"),
    ({"title": 5}, "title is a number, not text"),
    ({"_meta": []}, "_meta is a list, not an object"),
    ({"execution": "task"}, "execution is text, not an object"),
)


@pytest.mark.parametrize(("more", "problem"), IGNORED, ids=str)
def test_a_tool_is_used_without_a_malformed_field_that_it_does_not_need(more: dict[str, Any], problem: str) -> None:
    """The field is dropped, and named."""
    page = read_page(TOOLS, {"tools": [{**TOOL, **more}]})
    assert page.items == [TOOL]
    found = ToolSet.of(page.items, page.malformed)
    assert found.warnings == (f"tool 't': {problem}; that is ignored",)
    assert [(one.tool, one.rule, one.severity) for one in lint(found)] == [("t", "ignored", "error")]


def test_a_list_that_ends_in_the_middle_is_told() -> None:
    """A cursor that is no text can't be followed."""
    page = read_page(TOOLS, {"tools": [TOOL], "nextCursor": 5})
    assert (page.items, page.cursor) == ([TOOL], None)
    assert ToolSet.of(page.items, page.malformed).warnings == (
        "tool 'tools[1]' and all after it are not listed: nextCursor is a number, not text",
    )
