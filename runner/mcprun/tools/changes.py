"""Compare two lists of tools, and decide which changes break callers. Pure.

Tools are in the wire form of `tools/list` (https://modelcontextprotocol.io/specification, "Tools"). An input schema
that accepts less than before breaks recorded and scripted calls, and so does an output schema that guarantees less.
Removing an argument is always breaking: a server that does not refuse it ignores it, which is worse. A change that
can't be judged counts as breaking and is marked so. Changed texts count as harmless; `diff` shows how a model reacts
to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal, cast

from mcprun._util.json_value import JsonObject, json_equal
from mcprun.tools.format import ValueFormatter
from mcprun.tools.json_schema.changes import compare_schemas
from mcprun.tools.json_schema.keywords import SchemaChange

Kind = Literal[
    "tool_removed", "tool_renamed", "tool_added", "title", "description", "annotation", "other",
    "output_schema_added", "output_schema_removed",
    "input_added", "input_removed", "input_required", "input_optional", "input_narrowed", "input_widened",
    "input_changed", "input_unclear", "input_text",
    "output_added", "output_removed", "output_required", "output_optional", "output_narrowed", "output_widened",
    "output_changed", "output_unclear", "output_text",
]  # fmt: skip

_BREAKING = {
    "input": frozenset({"removed", "required", "narrowed", "changed", "unclear"}),
    "output": frozenset({"removed", "optional", "widened", "changed", "unclear"}),
}
"""Kinds of schema changes that break callers: those of an input schema, and those of an output schema."""

_CAREFUL = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
"""The specification's defaults for annotations. Each is the most cautious value, so a change back to it is breaking:
clients, and mcprun's own retries, rely on the other values to be less cautious."""

_BETWEEN_WRITES = frozenset({"destructiveHint", "idempotentHint"})
"""Annotations that are meaningful only for tools that are not read-only."""

_ALIKE = 0.5
"""Minimum similarity (`difflib` ratio) of two names for one to count as the other's new name."""

_MAX_PAIRS = 2_500
"""Maximum pairs of a removed and an added tool to compare: a list that is all new was not renamed."""

_MAX_PATH_CHARS = 200
"""Maximum length of a schema path in a message, in characters."""


@dataclass(frozen=True, slots=True)
class ToolChange:
    """One difference in one tool; `breaking` is whether it may break callers.

    `message` is one line with the path in the schema and the values before and after, shortened if long. `before` and
    `after` are those values as JSON, `None` if absent.
    """

    tool: str
    kind: Kind
    breaking: bool
    message: str
    before: Any = None
    after: Any = None


def compare_tools(before: Iterable[JsonObject], after: Iterable[JsonObject]) -> list[ToolChange]:
    """Compare two lists of tools in wire form (`name`, `description`, `inputSchema`, …).

    Returns the changes sorted by tool name. The order of the lists is ignored; of several tools with the same name,
    the first one counts. The result is empty only if the tools are equal as JSON: 1 equals 1.0, and neither equals
    `true`.
    """
    old, new = _named(before), _named(after)
    renamed = dict(_renamed(old, new))
    changes = [change for name in old.keys() & new.keys() for change in _changed(name, old[name], new[name])]
    for name in old.keys() - new.keys():
        if name in renamed:
            message = f"removed, probably renamed to {renamed[name]}"
            changes.append(ToolChange(name, "tool_renamed", True, message, name, renamed[name]))
        else:
            changes.append(ToolChange(name, "tool_removed", True, "removed", old[name], None))
    changes += [
        ToolChange(name, "tool_added", False, "added", None, new[name])
        for name in new.keys() - old.keys() - {*renamed.values()}
    ]
    return sorted(changes, key=lambda change: change.tool)


def _named(tools: Iterable[JsonObject]) -> dict[str, JsonObject]:
    tools_by_name: dict[str, JsonObject] = {}
    for tool in tools:
        tools_by_name.setdefault(tool["name"], tool)
    return tools_by_name


def _renamed(old: dict[str, JsonObject], new: dict[str, JsonObject]) -> Iterator[tuple[str, str]]:
    """Yield each removed tool that was probably renamed, with its new name.

    Both have the same input, and the same description or similar names. A tool that resembles several is skipped.
    """
    removed, added = (sorted(one.keys() - other.keys()) for one, other in ((old, new), (new, old)))
    if len(removed) * len(added) > _MAX_PAIRS:
        return
    pairs = [(one, other) for one in removed for other in added if _look_the_same(old[one], new[other])]
    for one, other in pairs:
        if sum(one == first or other == second for first, second in pairs) == 1:
            yield one, other


def _look_the_same(one: JsonObject, other: JsonObject) -> bool:
    if not _share_description(one, other) and not _are_similar(one["name"], other["name"]):
        return False
    return all(change.kind == "text" for change in compare_schemas(one.get("inputSchema"), other.get("inputSchema")))


def _share_description(one: JsonObject, other: JsonObject) -> bool:
    return bool(one.get("description")) and one.get("description") == other.get("description")


def _are_similar(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= _ALIKE


def _changed(name: str, before: JsonObject, after: JsonObject) -> Iterator[ToolChange]:
    """Compare two versions of a tool."""
    if json_equal(before, after):
        return
    changes = [
        *_texts(name, before, after),
        *_schemas(name, "input", before.get("inputSchema"), after.get("inputSchema")),
        *_output(name, before, after),
        *_annotations(name, before.get("annotations") or {}, after.get("annotations") or {}),
    ]
    yield from changes
    if not changes:
        yield ToolChange(name, "other", False, "written differently, but with the same meaning", before, after)


def _texts(name: str, before: JsonObject, after: JsonObject) -> Iterator[ToolChange]:
    """Compare the description, the title, and fields that mcprun does not interpret (`icons`, `_meta`)."""
    for key in dict.fromkeys([*before, *after]):
        one, other = before.get(key), after.get(key)
        if key in ("name", "inputSchema", "outputSchema", "annotations") or json_equal(one, other):
            continue
        kind: Kind = "title" if key == "title" else "description" if key == "description" else "other"
        yield ToolChange(name, kind, False, f"{_shown(key)}: {_both(one, other)}", one, other)


def _output(name: str, before: JsonObject, after: JsonObject) -> Iterator[ToolChange]:
    one, other = before.get("outputSchema"), after.get("outputSchema")
    if one is not None and other is not None:
        yield from _schemas(name, "output", one, other)
    elif one is not None:
        yield ToolChange(name, "output_schema_removed", True, "output: schema removed", one, None)
    elif other is not None:
        yield ToolChange(name, "output_schema_added", False, f"output: schema added, {_shown(other)}", None, other)


def _annotations(name: str, before: Any, after: Any) -> Iterator[ToolChange]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        before, after = {"annotations": before}, {"annotations": after}
    is_read_only = bool(after.get("readOnlyHint", False))
    for key in dict.fromkeys([*before, *after]):
        one, other = (hints.get(key, _CAREFUL.get(key)) for hints in (before, after))
        if not json_equal(one, other):
            is_breaking = key in _CAREFUL and other == _CAREFUL[key] and not (is_read_only and key in _BETWEEN_WRITES)
            message = f"annotations.{_shown(key)}: {_both(one, other)}"
            yield ToolChange(name, "annotation", is_breaking, message, one, other)


def _schemas(name: str, side: Literal["input", "output"], before: Any, after: Any) -> Iterator[ToolChange]:
    for change in compare_schemas(before, after):
        kind = cast("Kind", f"{side}_{change.kind}")
        message = f"{side}{_short(change.at)}: {_describe(side, change)}"
        yield ToolChange(name, kind, change.kind in _BREAKING[side], message, change.before, change.after)


def _describe(side: str, change: SchemaChange) -> str:
    """Describe a change without its path: `new required argument {"type": "string"}`, `type number → integer`."""
    noun = "argument" if side == "input" and re.fullmatch(r"\.[^.\[\]]+", change.at) else "property"
    match change:
        case SchemaChange("added", after=schema):
            return f"new optional {noun} {_shown(schema)}"
        case SchemaChange("removed"):
            return f"{noun} removed"
        case SchemaChange("required", keyword="properties", after=schema):
            return f"new required {noun} {_shown(schema)}"
        case SchemaChange("required" | "optional" as kind):
            return f"{noun} is now {kind}"
        case SchemaChange(keyword="anyOf" | "oneOf", before=None, after=schema):
            return f"now allows {_shown(schema)}"
        case SchemaChange(keyword="anyOf" | "oneOf", before=schema, after=None):
            return f"no longer allows {_shown(schema)}"
    unclear = " (compatibility unknown)" if change.kind == "unclear" else ""
    if change.keyword == "schema":
        return f"{_schema(change.before)} → {_schema(change.after)}{unclear}"
    return f"{_shown(change.keyword)} {_both(change.before, change.after)}{unclear}"


def _schema(value: Any) -> str:
    if isinstance(value, bool):
        return "anything" if value else "nothing"
    return _shown(value)


def _short(at: str) -> str:
    return at if len(at) <= _MAX_PATH_CHARS else f"{at[:_MAX_PATH_CHARS]}…"


def _both(before: Any, after: Any) -> str:
    """Format the values before and after; long ones start shortly before they differ."""
    texts = ValueFormatter().both(before, after)
    return " → ".join(_plain(value, shown) for value, shown in zip((before, after), texts, strict=True))


def _shown(value: Any) -> str:
    """Format a JSON value."""
    return _plain(value, ValueFormatter().value(value))


def _plain(value: Any, shown: str) -> str:
    """Strip the quotes from a value that is a single word."""
    if isinstance(value, str) and re.fullmatch(r"[\w.$-]+", value):
        return shown.strip('"')
    return "none" if value is None else shown
