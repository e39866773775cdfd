"""Invalid entries in a list of tools."""

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


@pytest.mark.parametrize(("extra", "problem"), IGNORED, ids=str)
def test_malformed_optional_field_is_dropped(extra: dict[str, Any], problem: str) -> None:
    """The tool is kept without the field, and a warning and a lint finding name it."""
    page = read_page(TOOLS, {"tools": [{**TOOL, **extra}]})
    assert page.items == [TOOL]
    toolset = ToolSet.of(page.items, page.malformed)
    assert toolset.warnings == (f"tool 't': {problem}; that is ignored",)
    assert [(finding.tool, finding.rule, finding.severity) for finding in lint(toolset)] == [("t", "ignored", "error")]


def test_invalid_cursor_is_reported() -> None:
    """A cursor that is not a string ends the list with a warning."""
    page = read_page(TOOLS, {"tools": [TOOL], "nextCursor": 5})
    assert (page.items, page.cursor) == ([TOOL], None)
    assert ToolSet.of(page.items, page.malformed).warnings == (
        "tool 'tools[1]' and all after it are not listed: nextCursor is a number, not text",
    )
