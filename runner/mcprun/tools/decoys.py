"""Tools of other servers that a routed run offers to the model beside those of its server (`--decoys`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcprun._util.json_value import JsonObject
from mcprun.errors import UsageError
from mcprun.tools.snapshot import read_snapshot
from mcprun.tools.toolset import ToolSet


def read_decoys(name: str) -> list[JsonObject]:
    """Return the tools of a snapshot or a run. Raises `UsageError` if there are none, or if one can't be offered."""
    tools = read_snapshot(name).tools
    if not tools:
        raise UsageError(f"--decoys {name} has no tools to offer")
    for tool in tools:
        if not isinstance(tool.get("inputSchema"), dict):
            raise UsageError(f"--decoys {name}: the tool {tool['name']!r} has no inputSchema, which must be an object")
        if not isinstance(tool.get("description", ""), str):
            raise UsageError(f"--decoys {name}: the description of the tool {tool['name']!r} must be a string")
    return tools


def renamed_decoys(decoys: Iterable[JsonObject], tools: ToolSet) -> list[JsonObject]:
    """Return decoys with names that no tool of the server has: `search` becomes `decoy_search`."""
    taken = {tool["name"] for tool in tools.listed}
    renamed = []
    for decoy in decoys:
        name = decoy["name"]
        while name in taken:
            name = f"decoy_{name}"
        taken.add(name)
        renamed.append({**decoy, "name": name})
    return renamed


def with_decoys(tools: ToolSet, decoys: Sequence[JsonObject]) -> ToolSet:
    """Return the tools that may be used, and decoys that have been renamed."""
    usable = set(tools.names.values())
    return ToolSet.of([*(tool for tool in tools.listed if tool["name"] in usable), *decoys])
