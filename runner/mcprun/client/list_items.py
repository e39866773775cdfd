"""Read the items of `tools/list`, `prompts/list`, `resources/list` and `resources/templates/list` one by one. Pure.

A malformed item is left out, and the others are kept. A malformed optional field, such as `icons`, is ignored. Both
are reported by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mcp_types
from pydantic import BaseModel

from mcprun._util.json_value import JsonObject
from mcprun._util.object_validation import checked, mismatch
from mcprun.runs.run_record import Malformed

_OPTIONAL = frozenset({"title", "icons", "annotations", "_meta", "execution", "size"})
_TEXTS = frozenset({"description", "mimeType"})
"""Optional keys of prompts and resources only. A tool's description matters: the model chooses tools by it."""


@dataclass(frozen=True, slots=True)
class ItemList:
    """One kind of list: `key` holds the items on a page, and `identity_key` is the field that identifies an item."""

    method: str
    key: str
    noun: str
    identity_key: str
    model: type[BaseModel]
    optional: frozenset[str]


TOOLS = ItemList("tools/list", "tools", "tool", "name", mcp_types.Tool, _OPTIONAL)
PROMPTS = ItemList("prompts/list", "prompts", "prompt", "name", mcp_types.Prompt, _OPTIONAL | _TEXTS)
RESOURCES = ItemList("resources/list", "resources", "resource", "uri", mcp_types.Resource, _OPTIONAL | _TEXTS)
TEMPLATES = ItemList(
    "resources/templates/list", "resourceTemplates", "resource template", "uriTemplate", mcp_types.ResourceTemplate,
    _OPTIONAL | _TEXTS,
)  # fmt: skip

_SHOWN = 100
"""Maximum characters of a malformed value shown in a message."""

_CURSOR = 80
"""Maximum characters of a cursor shown in a message."""

LISTS = {one.method: one for one in (TOOLS, PROMPTS, RESOURCES, TEMPLATES)}


@dataclass(frozen=True, slots=True)
class Page:
    """The usable items of a page, the malformed ones, and the cursor of the next page."""

    items: list[JsonObject]
    malformed: list[Malformed]
    cursor: str | None


def read_page(listed: ItemList, page: JsonObject, accept: Callable[[JsonObject], str] = lambda _: "") -> Page:
    """Return the items of one page. `accept` returns why a well-formed item can't be used; empty if it can.

    Raises `ValueError` if the page holds no list.
    """
    if listed.key not in page:
        raise ValueError(f"{listed.key} is missing")
    if not isinstance(page[listed.key], list):
        raise ValueError(mismatch(listed.key, page[listed.key], "a list"))
    items: list[JsonObject] = []
    malformed: list[Malformed] = []
    for index, item in enumerate(page[listed.key]):
        name = _name(listed, item, index)
        try:
            found, ignored = _read(listed, item)
            if refusal := accept(found):
                raise ValueError(refusal)
        except ValueError as error:
            malformed.append(Malformed(item=name, rule="malformed", message=f"is left out: {error}"))
            continue
        malformed += [Malformed(item=name, rule="ignored", message=f"{one}; that is ignored") for one in ignored]
        items.append(found)
    cursor = page.get("nextCursor")
    if not isinstance(cursor, str | None):
        message = f"and all after it are not listed: {mismatch('nextCursor', cursor, 'text')}"
        malformed.append(Malformed(item=f"{listed.key}[{len(page[listed.key])}]", rule="malformed", message=message))
        cursor = None
    return Page(items, malformed, cursor)


def repeated_cursor_message(method: str, cursor: str | None) -> str:
    """Describe an endless list: the server sent a cursor that it had sent before."""
    return f"the server's {method} repeats the cursor {str(cursor)[:_CURSOR]!r}, so the list ends there"


def _name(listed: ItemList, item: Any, index: int) -> str:
    """Return the identifier of an item or, without a valid one, its place on the page (`tools[3]`)."""
    name = item.get(listed.identity_key) if isinstance(item, dict) else None
    return name if name and isinstance(name, str) else f"{listed.key}[{index}]"


def _read(listed: ItemList, item: Any) -> tuple[JsonObject, list[str]]:
    """Return an item without its malformed optional fields, and their problems.

    Raises `ValueError` if a required field is malformed.
    """
    if not isinstance(item, dict):
        raise ValueError(mismatch("it", item, "an object"))
    found, ignored = checked(listed.model, item, listed.optional)
    if not found[listed.identity_key]:
        raise ValueError(f"{listed.identity_key} is empty")
    if listed is TOOLS:
        _check_object_schema(found["inputSchema"])
    if listed is PROMPTS:
        names = [argument["name"] for argument in found.get("arguments") or []]
        if len(set(names)) < len(names):
            raise ValueError("two arguments have the same name")
    return found, ignored


def _check_object_schema(schema: JsonObject) -> None:
    """Raise `ValueError` if an input schema breaks MCP's own rules (MCP, "Tools": `inputSchema`)."""
    if "type" not in schema:
        raise ValueError('inputSchema.type is missing, and must be "object"')
    if schema["type"] != "object":
        shown = json.dumps(schema["type"], ensure_ascii=False)[:_SHOWN]
        raise ValueError(f'inputSchema.type is {shown}, and must be "object"')
    for keyword, expected, expected_type in (("properties", "an object", dict), ("required", "a list", list)):
        if not isinstance(schema.get(keyword, expected_type()), expected_type):
            raise ValueError(mismatch(f"inputSchema.{keyword}", schema[keyword], expected))
