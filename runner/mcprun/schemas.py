"""Input schemas, made such that the Messages API takes them, with the same meaning; and calls mapped back. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). The API refuses property keys outside its alphabet and
`oneOf`, `anyOf`, `allOf` at the top level; it wants `"type": "object"`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import jsonschema
from jsonschema.exceptions import SchemaError

from mcprun.content import depth
from mcprun.records import JsonObject

MOST_SCHEMA_DEPTH = 100
"""Levels of nesting of a schema: checking one takes many times its depth in stack frames."""

_KEY_LENGTH = 64
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
class InputSchema:
    """A tool's input schema: `server` is what the server wrote, `api` what the API is sent.

    `safe` maps the property keys that have a stand-in to it; `notes` say what was changed.
    """

    server: JsonObject
    api: JsonObject
    safe: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def from_api(self, arguments: JsonObject) -> JsonObject:
        """Map a model's arguments to the server's own keys."""
        back = {safe: key for key, safe in self.safe.items()}
        return {**self._renamed(arguments, [self.server], back)}

    def to_api(self, arguments: JsonObject) -> JsonObject:
        """Map arguments with the server's keys to what the API is sent; the way back of `from_api`."""
        return {**self._renamed(arguments, [self.server], self.safe)}

    def _renamed(self, value: Any, schemas: list[Any], names: Mapping[str, str]) -> Any:
        """Rename the keys that the schemas declare where the value stands; what is free-form stays as it is."""
        if not self.safe:
            return value
        views = [view for schema in schemas for view in self._views(schema)]
        if isinstance(value, list):
            inner = [view["items"] for view in views if "items" in view]
            inner += [schema for view in views for schema in view.get("prefixItems", [])]
            return [self._renamed(item, inner, names) for item in value]
        if not isinstance(value, dict):
            return value
        declared: dict[str, list[Any]] = {}
        for view in views:
            for key, schema in view.get("properties", {}).items():
                declared.setdefault(key, []).append(schema)
        other = [view["additionalProperties"] for view in views if "additionalProperties" in view]
        renamed = {}
        for key, item in value.items():
            new = names.get(key, key)
            known = key if key in declared else new
            if known in declared:
                renamed[new] = self._renamed(item, declared[known], names)
            else:
                renamed[key] = self._renamed(item, other, names)
        return renamed

    def _views(self, schema: Any, followed: frozenset[str] = frozenset()) -> Iterator[JsonObject]:
        """Give a schema and every one that speaks of the same value: its alternatives, and what it refers to."""
        if not isinstance(schema, dict):
            return
        yield schema
        for keyword in _COMBINING:
            for one in schema.get(keyword, []):
                yield from self._views(one, followed)
        for keyword in _CONDITION:
            yield from self._views(schema.get(keyword), followed)
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#") and reference not in followed:
            yield from self._views(referred(self.server, reference), followed | {reference})


def fit(schema: Any) -> InputSchema:
    """Make an input schema that the API takes. Raises `ValueError`, which says why, where none can be made."""
    if not isinstance(schema, dict):
        raise ValueError("its input schema is no object")
    if depth(schema) > MOST_SCHEMA_DEPTH:
        raise ValueError(f"its input schema is nested more than {MOST_SCHEMA_DEPTH} deep")
    server = schema
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise ValueError(f"its input schema is of type {kind!r}, and arguments are always an object")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"its input schema is not valid at {error.json_path}: {error.message}") from None
    safe = {key: stand_in(key, _KEY_LENGTH, ".-") for key in _property_keys(schema) if not _KEY.fullmatch(key)}
    notes = [f"the API is sent the property key {sent!r} for {key!r}" for key, sent in safe.items()]
    if safe:
        schema = _with_keys(schema, safe)
    if schema.get("type") != "object":
        schema = {**schema, "type": "object"}  # arguments are an object, whatever else the schema would allow
        notes.append('the schema is sent with "type": "object"')
    if any(key in schema for key in _COMBINING):
        schema = _nested_combining(schema)
        notes.append("the schema's top-level allOf, anyOf or oneOf is sent nested under if/then")
    return InputSchema(server, schema, safe, tuple(notes))


def _nested_combining(schema: JsonObject) -> JsonObject:
    """Move `allOf`, `anyOf`, `oneOf` off the top level, where the API refuses them, keeping the meaning.

    `"if": {}` always holds, so `then` always applies; a condition that stood there moves along.
    """
    moved = {key: schema[key] for key in (*_COMBINING, *_CONDITION) if key in schema}
    kept = {key: value for key, value in schema.items() if key not in moved}
    return {**kept, "if": {}, "then": moved}


def stand_in(name: str, length: int, also: str) -> str:
    """Make a name of the API's alphabet that looks like the given one, and is made from it alone.

    `also` are characters that are allowed besides letters, digits and the underscore.
    """
    safe = re.sub(rf"[^a-zA-Z0-9_{re.escape(also)}]", "_", name)[: length - 9]
    return f"{safe}_{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _property_keys(schema: JsonObject) -> list[str]:
    """Find every property key, anywhere in a schema, each once."""
    found: dict[str, None] = {}

    def look(node: JsonObject) -> JsonObject:
        found.update(dict.fromkeys(node.get("properties", ())))
        return node

    each_schema(schema, look)
    return list(found)


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

    return each_schema(schema, rename)


def referred(root: Any, reference: str) -> Any:
    """Find what a local reference points to (`#`, or `#/` and a JSON Pointer, RFC 6901); `None` where nothing is."""
    pointer, found = reference.removeprefix("#"), root
    if reference[:1] != "#" or pointer[:1] not in ("", "/"):
        return None
    for step in unquote(pointer).split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            found = found.get(key) if isinstance(found, dict) else None
    return found


def each_schema(schema: Any, change: Callable[[JsonObject], JsonObject]) -> Any:
    """Rebuild a schema with `change` applied to it and to every schema within, never to plain values."""
    if not isinstance(schema, dict):
        return schema  # `true` and `false` are schemas too
    changed = change(schema)
    for keyword, value in changed.items():
        if keyword in _SCHEMA_MAPS and isinstance(value, dict):
            new: Any = {key: each_schema(item, change) for key, item in value.items()}
        elif keyword in _SCHEMA_LISTS and isinstance(value, list):
            new = [each_schema(item, change) for item in value]
        elif keyword in _SCHEMAS:
            new = each_schema(value, change)
        else:
            continue
        if new != value:
            changed = {**changed, keyword: new}
    return changed
