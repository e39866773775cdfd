"""Rewrite input schemas into equivalent ones that the Messages API accepts, and map calls back. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). The API refuses property keys outside its alphabet and
top-level `oneOf`, `anyOf` and `allOf`, and requires `"type": "object"`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun.evaluation.json_schema import InvalidSchemaError, check_schema
from mcprun.evaluation.schema_references import SchemasByPath
from mcprun.tools.schema_keys import SentSchema, property_keys, rename_keys

MAX_SCHEMA_DEPTH = 100
"""Maximum nesting of a schema, in levels: checking one takes many times its depth in stack frames."""

_KEY_LENGTH = 64
_KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")

# Keywords that hold subschemas (JSON Schema 2020-12, and `definitions` of older drafts).
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
    """A tool's input schema: `server` is the server's own, `api` the one sent to the API.

    `safe` maps property keys to their stand-ins. `schemas_by_path` indexes the subschemas of the server's schema; it is
    None if no key has a stand-in. `notes` describe the changes.
    """

    server: JsonObject
    api: JsonObject
    safe: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    schemas_by_path: SchemasByPath | None = field(default=None, repr=False, compare=False)

    def from_api(self, arguments: JsonObject) -> JsonObject:
        """Map the keys of a model's arguments to the server's."""
        return self._renamed(arguments, {safe: key for key, safe in self.safe.items()})

    def to_api(self, arguments: JsonObject) -> JsonObject:
        """Map the server's keys to those sent to the API; the inverse of `from_api`."""
        return self._renamed(arguments, self.safe)

    def _renamed(self, arguments: JsonObject, names: Mapping[str, str]) -> JsonObject:
        return (
            {**rename_keys(self.schemas_by_path, [()], arguments, names)}
            if self.schemas_by_path and names
            else {**arguments}
        )


def fit_to_api(schema: Any) -> InputSchema:
    """Return an input schema that the API accepts. Raises `ValueError` with the reason if there is none."""
    if not isinstance(schema, dict):
        raise ValueError("its input schema is not an object")
    if levels(schema) > MAX_SCHEMA_DEPTH:
        raise ValueError(f"its input schema is nested more than {MAX_SCHEMA_DEPTH} deep")
    server = schema
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        raise ValueError(f"its input schema has type {kind!r}, but arguments are always an object")
    try:
        check_schema(schema)
    except InvalidSchemaError as error:
        raise ValueError(f"its input schema is not valid {error}") from None
    safe = {key: replacement_name(key, _KEY_LENGTH, ".-") for key in property_keys(schema) if not _KEY.fullmatch(key)}
    notes = [f"the property key {key!r} is sent to the API as {sent!r}" for key, sent in safe.items()]
    moved = _moved(schema)
    places = SchemasByPath(schema) if safe or moved else None
    if places:
        schema = SentSchema(places, safe, moved).schema()
    if schema.get("type") != "object":
        schema = {**schema, "type": "object"}  # arguments are always an object, even if the schema allows other types
        notes.append('the schema is sent with "type": "object"')
    if moved:
        schema = _nested(schema, moved)
        notes.append("the schema's top-level allOf, anyOf or oneOf is sent nested under if/then")
    return InputSchema(server, schema, safe, tuple(notes), places if safe else None)


def check_output(schema: Any) -> None:
    """Raise `ValueError` if an output schema can't be used to validate results. `None` means that the tool has none."""
    if schema is None:
        return
    if not isinstance(schema, dict | bool):
        raise ValueError("its output schema is not an object or a boolean")
    if levels(schema) > MAX_SCHEMA_DEPTH:
        raise ValueError(f"its output schema is nested more than {MAX_SCHEMA_DEPTH} deep")
    try:
        check_schema(schema)
    except InvalidSchemaError as error:
        raise ValueError(f"its output schema is not valid {error}") from None


def _moved(schema: JsonObject) -> frozenset[str]:
    """Return the keywords to move off the top level, where the API refuses `allOf`, `anyOf` and `oneOf`."""
    if schema.keys().isdisjoint(_COMBINING):
        return frozenset()
    return frozenset({*_COMBINING, *_CONDITION} & schema.keys())


def _nested(schema: JsonObject, moved: frozenset[str]) -> JsonObject:
    """Move keywords from the top level to `then`. The meaning stays the same, since `"if": {}` always holds.

    A top-level `if`/`then`/`else` moves with them.
    """
    others = {key: value for key, value in schema.items() if key not in moved}
    return {**others, "if": {}, "then": {key: value for key, value in schema.items() if key in moved}}


def replacement_name(name: str, length: int, also: str) -> str:
    """Return a name in the API's alphabet that resembles `name` and depends on nothing else.

    It has at most `length` characters. `also` are the characters allowed besides letters, digits and the underscore.
    """
    safe = re.sub(rf"[^a-zA-Z0-9_{re.escape(also)}]", "_", name)[: length - 9]
    return f"{safe}_{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def each_schema(schema: Any, change: Callable[[JsonObject], JsonObject]) -> Any:
    """Rebuild a schema with `change` applied to it and to every subschema, but not to plain values."""
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
