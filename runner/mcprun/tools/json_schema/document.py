"""A JSON Schema as a whole: what its references point to, what a part of it means, which types it allows. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). Texts such as descriptions mean nothing here, and nor do
keywords that nobody knows.
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
IN_PLACE = ("if", "then", "else", "not")
"""Keywords whose schemas speak of the very value that the schema around them speaks of."""

CONSTRAINTS = frozenset(
    {"$ref", "$dynamicRef", "$recursiveRef", "type", "enum", "const", *IN_PLACE_LISTS, *IN_PLACE, "properties",
     "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames", "required", "minProperties",
     "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "items", "prefixItems",
     "unevaluatedItems", "contains", "minContains", "maxContains", "minItems", "maxItems", "uniqueItems", "minimum",
     "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "format",
     "contentEncoding", "contentMediaType", "contentSchema"}
)  # fmt: skip
"""Keywords that say which values are valid; `format` among them, since servers do check it."""

TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
"""The types of JSON. Here `number` are the numbers that are no integers, so that no two types share a value."""

NOTHING: JsonObject = {"not": {}}
"""The schema `false`, which no value fits."""

_MOST_STEPS = 32
"""References that are followed from one place."""

_TYPES_OF = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "format"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties", "minProperties", "maxProperties"),
}
"""Keywords that say something of values of some types only."""

_TEXTS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment"})
"""What says nothing of which values are valid, and is never pointed to."""


class Document:
    """A whole schema (JSON as it is parsed, valid by its metaschema); its parts are asked about."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._anchors = _anchors(root)

    def referred(self, reference: str) -> Any:
        """Find what a reference points to, by a JSON Pointer or an anchor; `None` where that can't be known."""
        if reference.startswith("#") and reference[1:2] not in ("", "/"):
            return self._anchors.get(unquote(reference[1:]))
        return referred(self.root, reference)

    def plain(self, schema: Any) -> tuple[JsonObject, str | None]:
        """Give a part of the schema as an object, and the last reference that was followed, if one was.

        `true` and `false` become `{}` and `NOTHING`. A reference that stands alone is followed, and so is an `allOf`
        with one schema; texts beside it stay. One beside other keywords joins their `allOf`.
        """
        reference = None
        for _ in range(_MOST_STEPS):
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
        """Write what a part means, references included: parts with the same text mean the same.

        What a reference points to that can't be followed may be anything that the document holds.
        """
        references: dict[str, None] = {}
        text = _bare(schema, references)
        told: dict[str, str] = {}
        while new := [reference for reference in references if reference not in told]:
            for reference in new:
                found = self.referred(reference)
                told[reference] = _whole(self.root) if found is None else _bare(found, references)
        return json.dumps([text, told], sort_keys=True) if told else text

    def names(self, schema: Any) -> frozenset[str] | None:
        """Find the property names that a part declares, in whatever way; `None` when it declares any there may be."""
        found: set[str] = set()
        seen: set[str] = set()
        todo = [schema]
        while todo:
            node = todo.pop()
            if not isinstance(node, dict):
                continue
            additional = node.get("additionalProperties", False)
            if node.get("patternProperties") or (additional is not False and not is_open(additional)):
                return None
            found |= {*node.get("properties", ()), *node.get("required", ())}
            for keyword in IN_PLACE_LISTS:
                todo += node.get(keyword, ())
            todo += [node[keyword] for keyword in IN_PLACE if keyword in node]
            todo += node.get("dependentSchemas", {}).values()
            reference = node.get("$ref")
            if reference is not None and reference not in seen:
                seen.add(reference)
                if (found_there := self.referred(reference)) is None:
                    return None
                todo.append(found_there)
        return frozenset(found)

    def types(self, schema: Any) -> frozenset[str]:
        """Find the types that a value may have: those that are named, or those of the values that are listed."""
        node, _ = self.plain(schema)
        values = values_of(node)
        named = frozenset() if node == NOTHING else named_types(node)
        return named if values is None else named & {type_of(value) for value in values.values()}

    def alternatives(self, schema: JsonObject) -> list[Any] | None:
        """Give the schemas of which a value need fit only one, when a part says that and nothing more.

        So says `anyOf`, and `oneOf` where no value can fit two of them: their types have nothing in common.
        """
        constraints = schema.keys() & CONSTRAINTS
        if constraints == {"anyOf"}:
            return list(schema["anyOf"])
        return list(schema["oneOf"]) if constraints == {"oneOf"} and self.are_apart(schema["oneOf"]) else None

    def are_apart(self, schemas: Sequence[Any]) -> bool:
        """Tell whether no value can fit two of the schemas, by its type alone."""
        types = [kind for schema in schemas for kind in self.types(schema)]
        return len(types) == len(set(types))


def is_open(schema: Any) -> bool:
    """Tell whether every value fits: a schema is `true`, or has no constraints."""
    return schema is True or (isinstance(schema, dict) and not schema.keys() & CONSTRAINTS)


def by_type(schema: JsonObject) -> list[JsonObject]:
    """Split a schema that names several types into one for each, texts left out, with the same meaning together."""
    constraints = {key: value for key, value in schema.items() if key in CONSTRAINTS}
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return [constraints]
    return [one for kind in kinds if (one := _of_type(constraints, kind))]


def _of_type(schema: JsonObject, kind: str) -> JsonObject | None:
    """Leave of a schema what it says of one type; `None` when no value of that type fits."""
    mine = "number" if kind == "integer" else kind
    others = {key for name, keys in _TYPES_OF.items() if name != mine for key in keys} - {*_TYPES_OF.get(mine, ())}
    left = {key: value for key, value in schema.items() if key not in others} | {"type": kind}
    if "enum" in schema:
        left["enum"] = [value for value in schema["enum"] if type_of(value) in named_types(left)]
        if not left["enum"]:
            return None
        if kind == "null":
            del left["enum"]
    return left


def named_types(schema: JsonObject) -> frozenset[str]:
    """Read `type`; all types where it is missing."""
    kinds = schema.get("type", TYPES)
    found = frozenset([kinds] if isinstance(kinds, str) else kinds)
    return found | {"integer"} if "number" in found else found


def type_of(value: Any) -> str:
    """Name the type of a JSON value."""
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
    """Read `enum` and `const`: the values that are valid, by a text that equal values share; `None` without them."""
    lists = [schema["enum"]] if "enum" in schema else []
    lists += [[schema["const"]]] if "const" in schema else []
    if not lists:
        return None
    found = [{key_of(value): value for value in values} for values in lists]
    return {key: value for key, value in found[0].items() if key in found[-1]}


def _anchors(root: Any) -> dict[str, Any]:
    """Find the schemas that have an `$anchor` or a `$dynamicAnchor`; a name that stands twice is left out.

    Those within a schema that has an `$id` of its own are names of that one alone.
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
    """Write all of a schema but its texts."""

    def without_texts(node: JsonObject) -> JsonObject:
        return {key: sorted(value) if key == "required" else value for key, value in node.items() if key not in _TEXTS}

    return key_of(each_schema(root, without_texts))


def _bare(schema: Any, references: dict[str, None]) -> str:
    """Write a schema without texts, and note what it refers to."""

    def constraints(node: JsonObject) -> JsonObject:
        if "$ref" in node:
            references[node["$ref"]] = None
        if node.keys() & {"$dynamicRef", "$recursiveRef"}:  # where they lead depends on all there is
            references["#"] = None
        return {key: sorted(value) if key == "required" else value for key, value in node.items() if key in CONSTRAINTS}

    return key_of(each_schema(schema, constraints))
