"""Find misspelt keywords in users' JSON Schemas. Validators ignore unknown keywords, so a check would pass. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun._util.similar_names import similar_name
from mcprun.evaluation.schema_references import SCHEMA_MAPS

_ONE = frozenset(
    {"additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not",
     "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"}
)  # fmt: skip
_LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
"""Keywords whose value is a schema, and those whose value is a list of schemas."""

KEYWORDS = (
    _ONE | _LISTS | SCHEMA_MAPS | frozenset(
        {"$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$ref",
         "$schema", "$vocabulary", "const", "contentEncoding", "contentMediaType", "default", "dependentRequired",
         "deprecated", "description", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "id",
         "maxContains", "maxItems", "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength",
         "minProperties", "minimum", "multipleOf", "pattern", "readOnly", "required", "title", "type", "uniqueItems",
         "writeOnly"}
    )
)  # fmt: skip
"""Keywords of JSON Schema 2020-12 and of earlier drafts."""

_ANNOTATIONS = frozenset(
    {"discriminator", "example", "externalDocs", "name", "note", "notes", "nullable", "summary", "tags", "xml"}
)
"""Keys of OpenAPI and other tools that resemble a keyword."""

_ALIKE = 0.8
"""Similarity (`difflib` ratio) from which a key counts as misspelt: `requried` has 0.875 to `required`."""


def misspelt(schema: Any) -> Iterator[str]:
    """Yield a message for each key that looks like a misspelt keyword, with its path and the likely keyword."""
    todo: list[tuple[str, Any]] = [("$", schema)]
    while todo:
        place, one = todo.pop()
        if not isinstance(one, dict):
            continue
        for key in one:
            if close := _meant(key):
                what = f"{key!r} is not a JSON Schema keyword and has no effect"
                yield f"at {place}: {what}; did you mean {close!r}?"
        todo += reversed(list(_subschemas(place, one)))


def _meant(key: str) -> str:
    if key in KEYWORDS or key in _ANNOTATIONS or key.startswith(("x-", "X-")):
        return ""
    return similar_name(key, KEYWORDS, _ALIKE)


def _subschemas(path: str, schema: JsonObject) -> Iterator[tuple[str, Any]]:
    """Yield the direct subschemas of a schema with their paths."""
    for key, value in schema.items():
        if key in SCHEMA_MAPS and isinstance(value, dict):
            yield from ((f"{path}.{key}.{name}", item) for name, item in value.items())
        elif key in _LISTS and isinstance(value, list):
            yield from ((f"{path}.{key}[{at}]", item) for at, item in enumerate(value))
        elif key in _ONE:
            yield f"{path}.{key}", value
