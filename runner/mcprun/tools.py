"""A server's tools, as the Messages API takes them, and the way back. Pure.

The API refuses a whole request for one tool that it does not like, naming only an index. So names and property
keys outside its alphabet get stand-ins that are mapped back when the model calls; schemas that it refuses are
rewritten where that keeps their meaning; a tool that can't be sent is left out, and a warning names it.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import jsonschema
from jsonschema.exceptions import SchemaError

from mcprun.records import JsonObject

NAME_LENGTH, KEY_LENGTH = 128, 64
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")

# Where schemas stand within a schema (JSON Schema 2020-12, and `definitions` of older drafts).
_SCHEMA_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SCHEMAS = frozenset(
    {"items", "contains", "additionalProperties", "propertyNames", "unevaluatedItems", "unevaluatedProperties",
     "not", "if", "then", "else", "contentSchema"}
)  # fmt: skip
_COMBINING = ("allOf", "anyOf", "oneOf")
_CONDITION = ("if", "then", "else")


@dataclass(frozen=True, slots=True)
class ToolSet:
    """The tools of one session: `definitions` is what the API is sent, sorted by the server's own names.

    `listed` holds the server's definitions as it sent them; `warnings` names what was renamed, rewritten or
    left out. Names and keys with stand-ins are in the two maps, stand-in first.
    """

    definitions: tuple[JsonObject, ...] = ()
    listed: tuple[JsonObject, ...] = ()
    warnings: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, listed: Iterable[JsonObject]) -> Self:
        """Map the tools of `tools/list` (objects of the wire: `name`, `description`, `inputSchema`)."""
        definitions, warnings = [], []
        names: dict[str, str] = {}
        keys: dict[str, Mapping[str, str]] = {}
        tools = sorted(listed, key=lambda tool: tool["name"])
        taken = {tool["name"] for tool in tools}
        seen: set[str] = set()
        for tool in tools:
            name = tool["name"]
            if name in seen:
                warnings.append(f"tool {name!r} is listed twice; the second one is left out")
                continue
            seen.add(name)
            try:
                schema, renamed, notes = _schema(tool["inputSchema"])
            except ValueError as error:
                warnings.append(f"tool {name!r} is left out: {error}")
                continue
            sent = name if _NAME.fullmatch(name) else _stand_in(name, NAME_LENGTH, "-", taken)
            if sent != name:
                taken.add(sent)
                notes = [f"the API is sent the name {sent!r}", *notes]
            warnings += [f"tool {name!r}: {note}" for note in notes]
            names[sent] = name
            if renamed:
                keys[name] = renamed
            definition: JsonObject = {"name": sent, "input_schema": schema}
            if tool.get("description"):
                definition["description"] = tool["description"]
            definitions.append(definition)
        return cls(tuple(definitions), tuple(tools), tuple(warnings), names, keys)

    def only(self, patterns: Iterable[str] | None) -> Self:
        """Keep the tools whose server name fits one of the patterns (`fnmatch`); `None` keeps all."""
        if patterns is None:
            return self
        patterns = tuple(patterns)
        kept = {
            sent: name
            for sent, name in self.names.items()
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        }
        definitions = tuple(one for one in self.definitions if one["name"] in kept)
        return type(self)(definitions, self.listed, self.warnings, kept, self.keys)

    def from_api(self, name: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Map a model's call to the server's own name and keys. A name that nobody knows stays as it is."""
        tool = self.names.get(name, name)
        return tool, _rename(arguments, self.keys.get(tool, {}))

    def to_api(self, tool: str, arguments: JsonObject) -> tuple[str, JsonObject]:
        """Map a call in the server's words to what a model would say; the way back of `from_api`."""
        sent = next((sent for sent, name in self.names.items() if name == tool), tool)
        return sent, _rename(arguments, {key: safe for safe, key in self.keys.get(tool, {}).items()})


def _schema(schema: Any) -> tuple[JsonObject, Mapping[str, str], list[str]]:
    """Make an input schema that the API takes: (schema, stand-in keys, notes). Raises `ValueError` when none is."""
    if not isinstance(schema, dict):
        raise ValueError("its input schema is no object")
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise ValueError(f"its input schema is of type {kind!r}, and arguments are always an object")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"its input schema is not valid at {error.json_path}: {error.message[:200]}") from None
    renamed = _stand_in_keys(schema)
    notes = [f"the API is sent the property key {safe!r} for {key!r}" for safe, key in renamed.items()]
    if renamed:
        schema = _with_keys(schema, {key: safe for safe, key in renamed.items()})
    if schema.get("type") != "object":
        schema = {**schema, "type": "object"}  # arguments are an object, whatever else the schema would allow
    if any(key in schema for key in _COMBINING):
        schema = _nested_combining(schema)
        notes.append("the schema's top-level allOf, anyOf or oneOf is sent nested under if/then")
    return schema, renamed, notes


def _nested_combining(schema: JsonObject) -> JsonObject:
    """Move `allOf`, `anyOf`, `oneOf` off the top level, where the API refuses them, keeping the meaning.

    `"if": {}` always holds, so `then` always applies; a condition that stood there moves along.
    """
    moved = {key: schema[key] for key in (*_COMBINING, *_CONDITION) if key in schema}
    kept = {key: value for key, value in schema.items() if key not in moved}
    return {**kept, "if": {}, "then": moved}


def _stand_in_keys(schema: Any) -> dict[str, str]:
    """Find every property key that the API refuses, anywhere in the schema; give `{stand-in: key}`."""
    found: list[str] = []

    def look(node: JsonObject) -> JsonObject:
        properties = node.get("properties")
        found.extend(properties if isinstance(properties, dict) else ())
        return node

    _each_schema(schema, look)
    taken = set(found)
    stand_ins: dict[str, str] = {}
    for key in dict.fromkeys(found):
        if not _KEY.fullmatch(key):
            safe = _stand_in(key, KEY_LENGTH, ".-", taken)
            taken.add(safe)
            stand_ins[safe] = key
    return stand_ins


def _with_keys(schema: Any, safe: Mapping[str, str]) -> Any:
    """Put the stand-ins where a schema names its properties: `properties`, `required`, `dependent…`."""

    def rename(node: JsonObject) -> JsonObject:
        node = dict(node)
        for keyword in ("properties", "dependentSchemas", "dependentRequired"):
            if isinstance(node.get(keyword), dict):
                node[keyword] = {safe.get(key, key): value for key, value in node[keyword].items()}
        if isinstance(node.get("dependentRequired"), dict):
            node["dependentRequired"] = {
                key: [safe.get(name, name) for name in value] for key, value in node["dependentRequired"].items()
            }
        if isinstance(node.get("required"), list):
            node["required"] = [safe.get(key, key) for key in node["required"]]
        return node

    return _each_schema(schema, rename)


def _each_schema(schema: Any, change: Callable[[JsonObject], JsonObject]) -> Any:
    """Rebuild a schema with `change` applied to it and to every schema within, never to plain values."""
    if not isinstance(schema, dict):
        return schema  # `true` and `false` are schemas too
    changed = change(schema)
    for keyword, value in changed.items():
        if keyword in _SCHEMA_MAPS and isinstance(value, dict):
            new: Any = {key: _each_schema(item, change) for key, item in value.items()}
        elif keyword in _SCHEMA_LISTS and isinstance(value, list):
            new = [_each_schema(item, change) for item in value]
        elif keyword in _SCHEMAS:
            new = _each_schema(value, change)
        else:
            continue
        if new != value:
            changed = {**changed, keyword: new}
    return changed


def _stand_in(name: str, length: int, also: str, taken: set[str]) -> str:
    """Make a name of the API's alphabet that looks like the given one and is not taken."""
    safe = re.sub(rf"[^a-zA-Z0-9_{re.escape(also)}]", "_", name)[:length] or "_"
    if safe in taken:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = f"{safe[: length - 9]}_{digest}"
    return safe


def _rename(value: Any, names: Mapping[str, str]) -> Any:
    """Rename keys at every depth of a call's arguments."""
    if not names:
        return value
    if isinstance(value, dict):
        return {names.get(key, key): _rename(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_rename(item, names) for item in value]
    return value
