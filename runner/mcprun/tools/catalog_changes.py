"""Compare the prompts and resources of two snapshots. Pure.

Each is compared like a tool (`tools/changes.py`): a prompt's arguments are strings, and a resource has none. So a
prompt or resource that was removed is breaking, and so is a new required argument. Fields of a resource that vary with
its content (`size`, `annotations`) are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from mcprun._util.json_value import JsonObject
from mcprun.tools.changes import ToolChange, compare_tools
from mcprun.tools.snapshot import Catalog

_VARYING = frozenset({"size", "annotations"})


def compare_catalogs(before: Catalog, after: Catalog) -> list[ToolChange]:
    """Return the changes. Each `tool` is a kind and a name: `prompt brief`, `resource file:///notes.txt`.

    A list that could not be read on one of the sides is not compared.
    """
    failed = {*before.failed, *after.failed}
    before, after = (one.model_copy(update={name: [] for name in failed}) for one in (before, after))
    return [
        *_compared("prompt", before.prompts, after.prompts, _prompt),
        *_compared("resource", before.resources, after.resources, lambda one: _resource(one, "uri")),
        *_compared(
            "resource template",
            before.resource_templates,
            after.resource_templates,
            lambda one: _resource(one, "uriTemplate"),
        ),
    ]


def _compared(
    noun: str, before: list[JsonObject], after: list[JsonObject], as_tool: Callable[[JsonObject], JsonObject]
) -> Iterator[ToolChange]:
    for change in compare_tools(map(as_tool, before), map(as_tool, after)):
        yield replace(change, tool=f"{noun} {change.tool}")


def _prompt(prompt: JsonObject) -> JsonObject:
    arguments = prompt.get("arguments") or []
    schema = {
        "type": "object",
        "properties": {
            one["name"]: {"type": "string"} | {key: one[key] for key in ("title", "description") if key in one}
            for one in arguments
        },
        "required": [one["name"] for one in arguments if one.get("required")],
    }
    return {key: value for key, value in prompt.items() if key != "arguments"} | {"inputSchema": schema}


def _resource(resource: JsonObject, key: str) -> JsonObject:
    fields = {name: value for name, value in resource.items() if name not in _VARYING | {key, "name"}}
    title = resource.get("title") or resource.get("name")
    return {**fields, "name": resource[key], "title": title, "inputSchema": {"type": "object"}}
