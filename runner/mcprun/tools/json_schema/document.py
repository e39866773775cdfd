"""Resolve references in a JSON Schema, and compute the meaning and the types of its subschemas. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). Texts such as descriptions, and unknown keywords, are
ignored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from mcprun._util.json_value import JsonObject, key_of
from mcprun.evaluation.schema_references import referred
from mcprun.tools.api_schema import each_schema

IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
IN_PLACE_KEYWORDS = ("if", "then", "else", "not")
"""Keywords whose subschemas apply to the same value as the schema that contains them."""

CONSTRAINTS = frozenset(
    {"$ref", "$dynamicRef", "$recursiveRef", "type", "enum", "const", *IN_PLACE_LISTS, *IN_PLACE_KEYWORDS, "properties",
     "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames", "required", "minProperties",
     "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "items", "prefixItems",
     "unevaluatedItems", "contains", "minContains", "maxContains", "minItems", "maxItems", "uniqueItems", "minimum",
     "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "format",
     "contentEncoding", "contentMediaType", "contentSchema"}
)  # fmt: skip
"""Keywords that constrain which values are valid, including `format`, since servers do check it."""

TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
"""The types of JSON. Here `number` excludes the integers, so that no two types share a value."""

NOTHING: JsonObject = {"not": {}}
"""The schema `false`, which no value matches, as an object."""

_MAX_STEPS = 32
"""Maximum references to follow in a row."""

_TYPES_OF = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
}
"""Keywords that constrain only values of certain types, by type."""

_TEXTS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"})
"""Keywords that do not affect validity and are never the target of a reference."""


class Document:
    """A whole schema: parsed JSON that is valid by its metaschema. The methods take its subschemas."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._anchors = _anchors(root)

    def referred(self, reference: str) -> Any:
        """Return the target of a reference by JSON Pointer or anchor; `None` if it can't be resolved."""
        if reference.startswith("#") and reference[1:2] not in ("", "/"):
            return self._anchors.get(unquote(reference[1:]))
        return referred(self.root, reference)

    def plain(self, schema: Any) -> tuple[JsonObject, str | None]:
        """Return a subschema as an object, and the last reference that was followed, None if there was none.

        `true` and `false` become `{}` and `NOTHING`. If the only constraint is a `$ref` or an `allOf` with one schema,
        it is replaced by its target; the texts next to it are kept. A `$ref` next to other constraints is added to
        their `allOf`.
        """
        reference = None
        for _ in range(_MAX_STEPS):
            if not isinstance(schema, dict):
                return ({} if schema else NOTHING), reference
            constraints = schema.keys() & CONSTRAINTS
            if constraints == {"$ref"} and (found := self.referred(schema["$ref"])) is not None:
                inner, reference = found, schema["$ref"]
            elif constraints == {"allOf"} and len(schema["allOf"]) == 1:
                (inner,) = schema["allOf"]
            elif "$ref" in constraints and len(constraints) > 1:
                others = {key: value for key, value in schema.items() if key != "$ref"}
                return {**others, "allOf": [*schema.get("allOf", ()), {"$ref": schema["$ref"]}]}, reference
            else:
                return schema, reference
            texts = {key: value for key, value in schema.items() if key not in CONSTRAINTS}
            schema = {**inner, **texts} if isinstance(inner, dict) else inner
        return schema, reference

    def meaning(self, schema: Any) -> str:
        """Return a canonical text of a subschema and of what it refers to: equal texts mean equal constraints.

        A reference that can't be resolved may point anywhere, so the text then includes the whole document.
        """
        references: dict[str, None] = {}
        text = _bare(schema, references)
        targets: dict[str, str] = {}
        while new := [reference for reference in references if reference not in targets]:
            for reference in new:
                found = self.referred(reference)
                targets[reference] = _whole(self.root) if found is None else _bare(found, references)
        return json.dumps([text, targets], sort_keys=True) if targets else text

    def names(self, schema: Any) -> frozenset[str] | None:
        """Return all property names that a subschema declares; `None` if it declares arbitrary names."""
        names: set[str] = set()
        seen: set[str] = set()
        todo = [schema]
        while todo:
            node = todo.pop()
            if not isinstance(node, dict):
                continue
            additional = node.get("additionalProperties", False)
            if node.get("patternProperties") or (additional is not False and not is_open(additional)):
                return None
            names |= {*node.get("properties", ()), *node.get("required", ())}
            for keyword in IN_PLACE_LISTS:
                todo += node.get(keyword, ())
            todo += [node[keyword] for keyword in IN_PLACE_KEYWORDS if keyword in node]
            todo += node.get("dependentSchemas", {}).values()
            reference = node.get("$ref")
            if reference is not None and reference not in seen:
                seen.add(reference)
                if (target := self.referred(reference)) is None:
                    return None
                todo.append(target)
        return frozenset(names)

    def types(self, schema: Any) -> frozenset[str]:
        """Return the types that a value may have, by `type` and by the values in `enum` and `const`."""
        node, _ = self.plain(schema)
        values = values_of(node)
        named = frozenset() if node == NOTHING else named_types(node)
        return named if values is None else named & {type_of(value) for value in values.values()}

    def alternatives(self, schema: JsonObject) -> list[Any] | None:
        """Return the alternatives of a subschema that has no other constraint; `None` if it has others.

        These are the schemas of `anyOf`, and those of `oneOf` if they have no type in common, so that no value can
        match two of them.
        """
        constraints = schema.keys() & CONSTRAINTS
        if constraints == {"anyOf"}:
            return list(schema["anyOf"])
        return list(schema["oneOf"]) if constraints == {"oneOf"} and self.are_disjoint(schema["oneOf"]) else None

    def are_disjoint(self, schemas: Sequence[Any]) -> bool:
        """Return whether no two of the schemas have a type in common, so that no value can match both."""
        types = [kind for schema in schemas for kind in self.types(schema)]
        return len(types) == len(set(types))


def is_open(schema: Any) -> bool:
    """Return whether a schema accepts every value: it is `true` or has no constraints."""
    return schema is True or (isinstance(schema, dict) and not schema.keys() & CONSTRAINTS)


def by_type(schema: JsonObject) -> list[JsonObject]:
    """Split a schema into one for each type in its `type` list; together they are equivalent. Texts are left out."""
    constraints = {key: value for key, value in schema.items() if key in CONSTRAINTS}
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return [constraints]
    return [one for kind in kinds if (one := _of_type(constraints, kind))]


def _of_type(schema: JsonObject, kind: str) -> JsonObject | None:
    """Restrict a schema to one type; `None` if it accepts no value of that type."""
    family = "number" if kind == "integer" else kind
    others = {key for name, keys in _TYPES_OF.items() if name != family for key in keys} - {*_TYPES_OF.get(family, ())}
    restricted = {key: value for key, value in schema.items() if key not in others} | {"type": kind}
    if "enum" in schema:
        restricted["enum"] = [value for value in schema["enum"] if type_of(value) in named_types(restricted)]
        if not restricted["enum"]:
            return None
        if kind == "null":
            del restricted["enum"]
    return restricted


def named_types(schema: JsonObject) -> frozenset[str]:
    """Return the types in `type`, all types if it is missing. `number` includes `integer`."""
    kinds = schema.get("type", TYPES)
    found = frozenset([kinds] if isinstance(kinds, str) else kinds)
    return found | {"integer"} if "number" in found else found


def type_of(value: Any) -> str:
    """Return the name of a JSON value's type. Floats with an integral value are integers."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
    return "array" if isinstance(value, list) else "object"


def values_of(schema: JsonObject) -> dict[str, Any] | None:
    """Return the values that `enum` and `const` allow, keyed by a text that equal values share; `None` if absent."""
    lists = [schema["enum"]] if "enum" in schema else []
    lists += [[schema["const"]]] if "const" in schema else []
    if not lists:
        return None
    found = [{key_of(value): value for value in values} for values in lists]
    return {key: value for key, value in found[0].items() if key in found[-1]}


def _anchors(root: Any) -> dict[str, Any]:
    """Return the subschemas by their `$anchor` or `$dynamicAnchor`. A name that occurs twice is left out.

    Anchors within a subschema that has its own `$id` are skipped: they belong to that resource.
    """
    found: dict[str, list[Any]] = {}

    def note(node: JsonObject) -> JsonObject:
        is_another = node is not root and "$id" in node
        if is_another:
            return {}
        for keyword in ("$anchor", "$dynamicAnchor"):
            if keyword in node:
                found.setdefault(node[keyword], []).append(node)
        return node

    each_schema(root, note)
    return {name: nodes[0] for name, nodes in found.items() if len(nodes) == 1}


def _whole(root: Any) -> str:
    """Return a canonical text of a whole schema without its descriptive keywords."""

    def without_texts(node: JsonObject) -> JsonObject:
        return {key: sorted(value) if key == "required" else value for key, value in node.items() if key not in _TEXTS}

    return key_of(each_schema(root, without_texts))


def _bare(schema: Any, references: dict[str, None]) -> str:
    """Return a canonical text of a schema's constraints, and add its references to `references`."""

    def constraints(node: JsonObject) -> JsonObject:
        if "$ref" in node:
            references[node["$ref"]] = None
        if node.keys() & {"$dynamicRef", "$recursiveRef"}:  # their target depends on the whole document
            references["#"] = None
        return {key: sorted(value) if key == "required" else value for key, value in node.items() if key in CONSTRAINTS}

    return key_of(each_schema(schema, constraints))
