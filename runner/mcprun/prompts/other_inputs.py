"""Generate other inputs for a tool whose first one did not work. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.prompts.generate import kind_of
from mcprun.prompts.query import parse_query
from mcprun.prompts.script_query import script_query
from mcprun.tools.json_schema.generate import generate_value
from mcprun.tools.json_schema.named_values import Argument, split_name

_MAX_OPTIONAL = 15
"""Maximum properties of a schema to fill in all of them."""

_DESTROYING = frozenset(
    {
        "clear",
        "delete",
        "destroy",
        "drop",
        "empty",
        "erase",
        "kill",
        "move",
        "purge",
        "remove",
        "rename",
        "reset",
        "wipe",
    }
)
"""Verbs in the names of tools that must not get the paths of files that exist."""

_TEMPORARY = "/tmp"  # noqa: S108  the same on all machines, which the prompts file must be


def other_queries(query: JsonObject, tool: JsonObject, root: str | None) -> list[JsonObject]:
    """Return queries with other inputs, the likeliest first.

    They have all optional arguments; paths that usually exist, unless the tool destroys things; and absolute paths:
    below `root`, a folder that the server may use, else in the system's temporary folder if the tool asks for them.
    """
    found = [script_query(tool, query, [{"tool": tool["name"], "input": one}]) for one in _inputs(tool, root)]
    return [one for number, one in enumerate(found) if _is_new(one, [query, *found[:number]]) and _is_valid(one)]


def _inputs(tool: JsonObject, root: str | None) -> Iterator[JsonObject]:
    schema = tool.get("inputSchema")
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties")
    schemas = [{**schema, "type": "object"}]
    if isinstance(properties, dict) and 0 < len(properties) <= _MAX_OPTIONAL:
        schemas.append({**schemas[0], "required": list(properties)})
    is_safe = not _DESTROYING.intersection(split_name(tool["name"]))
    folder = root or (_TEMPORARY if "absolute" in str(tool).lower() else "")
    kinds = [kind_of(tool) == "read-only"]
    kinds += [not kinds[0]] if is_safe else []
    for one in schemas:
        for reads_only in kinds:
            arguments = _value(one, tool, reads_only=reads_only)
            if arguments is None:
                continue
            yield arguments
            if folder and (absolute := _below(folder, arguments)) != arguments:
                yield absolute


def _value(schema: JsonObject, tool: JsonObject, *, reads_only: bool) -> JsonObject | None:
    about = str(tool.get("description") or "")
    try:
        found: JsonObject = generate_value(schema, tool=tool["name"], about=about, reads_only=reads_only)
    except ValueError:
        return None
    return found


def _below(folder: str, arguments: JsonObject) -> JsonObject:
    """Return the arguments with relative paths made absolute."""

    def absolute(value: Any) -> Any:
        if isinstance(value, list):
            return [absolute(item) for item in value]
        is_relative = isinstance(value, str) and ":" not in value and not value.startswith("/")
        if not is_relative:
            return value
        prefix = "mcprun-" if folder == _TEMPORARY else ""
        return folder if value == "." else f"{folder}/{prefix}{value}"

    return {key: absolute(value) if Argument(key).is_path else value for key, value in arguments.items()}


def _is_new(query: JsonObject, others: list[JsonObject]) -> bool:
    return all(query["script"] != other["script"] for other in others)


def _is_valid(query: JsonObject) -> bool:
    try:
        parse_query(query)
    except ValueError:
        return False
    return True
