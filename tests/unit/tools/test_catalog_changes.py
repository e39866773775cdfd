"""Changes of prompts and their arguments."""

from __future__ import annotations

from typing import Any

from mcprun.client.catalog import names
from mcprun.tools.catalog_changes import compare_catalogs
from mcprun.tools.snapshot import Catalog


def catalog(**lists: list[dict[str, Any]]) -> Catalog:
    """Make what a server offers, of the lists that are given."""
    return Catalog(**{"prompts": [], "resources": [], "resource_templates": [], **lists})


def test_arguments_of_prompts_are_compared() -> None:
    """A new one that is required breaks who plays the prompt; what varies with a resource's content does not count."""
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


def test_names_are_bounded() -> None:
    """So many are told, each cut; of none it is said."""
    assert names([], "name") == "none"
    assert names([{"name": f"{number}{'x' * 100}"} for number in range(12)], "name").endswith("x and 2 more")
