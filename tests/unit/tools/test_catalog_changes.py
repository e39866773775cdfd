"""Changes of prompts, their arguments and resources."""

from __future__ import annotations

from typing import Any

from mcprun.client.catalog import names
from mcprun.tools.catalog_changes import compare_catalogs
from mcprun.tools.snapshot import Catalog


def catalog(**lists: list[dict[str, Any]]) -> Catalog:
    """Return a catalog with the given lists, and empty ones otherwise."""
    return Catalog(**{"prompts": [], "resources": [], "resource_templates": [], **lists})


def test_required_prompt_argument_is_a_breaking_change() -> None:
    """A new required argument breaks callers of the prompt. The size of a resource is ignored."""
    before = catalog(
        prompts=[{"name": "p", "arguments": [{"name": "a"}]}], resources=[{"uri": "u:v", "name": "n", "size": 1}]
    )
    after = catalog(
        prompts=[{"name": "p", "arguments": [{"name": "a"}, {"name": "b", "required": True}]}],
        resources=[{"uri": "u:v", "name": "n", "size": 2}],
    )  # fmt: skip
    (change,) = compare_catalogs(before, after)
    assert (change.tool, change.kind, change.breaking) == ("prompt p", "input_required", True)
    assert compare_catalogs(after, after) == []


def test_list_of_names_is_bounded() -> None:
    """Ten names are listed, each of them cut. An empty list is shown as "none"."""
    assert names([], "name") == "none"
    assert names([{"name": f"{number}{'x' * 100}"} for number in range(12)], "name").endswith("x and 2 more")
