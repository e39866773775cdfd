"""Expand a JSON Schema to variants without references and alternatives, for generating values. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). Merging schemas is an approximation: a value generated for
a variant must be validated against the schema itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Any, cast

from mcprun._util.json_value import JsonObject
from mcprun.evaluation.json_schema import is_schema
from mcprun.evaluation.schema_references import referred
from mcprun.tools.api_schema import each_schema

MAX_VARIANTS = 16
"""Maximum variants of one schema, that is, combinations of its alternatives."""

_MAX_STEPS = 20_000
"""Maximum visits of subschemas in total."""

_COMBINING = ("$ref", "allOf", "anyOf", "oneOf")


class SchemaVariants:
    """Expands the subschemas of a document. `root` is the document, which must be a valid schema."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._referred: dict[str, Any] = {}
        self._steps = 0

    def of(self, schema: Any) -> list[JsonObject]:
        """Return a variant for each combination of alternatives, merged with what the schema refers to.

        `true` has one variant, `{}`, and `false` has none. References must be local.
        """
        return list(islice(self._views(schema, frozenset()), MAX_VARIANTS))

    def _views(self, schema: Any, followed: frozenset[str]) -> Iterator[JsonObject]:
        self._steps += 1
        if not isinstance(schema, dict) or self._steps > _MAX_STEPS:
            if schema is True:
                yield {}
            return
        parts: list[list[Any]] = []
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            followed |= {reference}
            parts.append([self._refer(reference)])
        parts += [[one] for one in schema.get("allOf", ())]
        parts += [schema[keyword] for keyword in ("anyOf", "oneOf") if keyword in schema]
        plain = {key: value for key, value in schema.items() if key not in _COMBINING}
        for chosen in islice(product(*parts), MAX_VARIANTS):
            expanded = [list(islice(self._views(one, followed), MAX_VARIANTS)) for one in chosen]
            for views in islice(product(*expanded), MAX_VARIANTS):
                view = plain
                for other in views:
                    view = _merged(view, other)
                yield view

    def _refer(self, reference: str) -> Any:
        if reference not in self._referred:
            self._referred[reference] = _schema_at(self._root, reference)
        return self._referred[reference]


def weight(root: Any) -> int:
    """Return the largest number of schemas that apply to a single location of a value.

    A validator evaluates each as often as it is referred to, and nested alternatives multiply.
    """
    weights: dict[str, int] = {}
    largest = 0

    def weigh(schema: Any) -> int:
        if not isinstance(schema, dict):
            return 1
        inner = [one for keyword in ("allOf", "anyOf", "oneOf") for one in schema.get(keyword, ())]
        inner += [schema[keyword] for keyword in ("not", "if", "then", "else") if keyword in schema]
        inner += schema.get("dependentSchemas", {}).values()
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in weights:
            weights[reference] = 0  # ends circular references
            weights[reference] = weigh(_schema_at(root, reference))
        return 1 + sum(map(weigh, inner)) + weights.get(str(reference), 0)

    def look(schema: JsonObject) -> JsonObject:
        nonlocal largest
        largest = max(largest, weigh(schema))
        return schema

    each_schema(root, look)
    return largest


def _schema_at(root: Any, reference: str) -> Any:
    """Return the target of a local reference if it is a valid schema, else `False`."""
    found = referred(root, reference)
    return found if is_schema(found) else False


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """Merge two schemas that must both hold. For keywords that can't be merged, the first schema wins."""
    both = {key: _JOINED[key](one[key], other[key]) for key in _JOINED if key in one and key in other}
    return {**other, **one, **both}


def _all_of(one: Any, other: Any) -> Any:
    return one if one == other else {"allOf": [one, other]}


def _properties(one: JsonObject, other: JsonObject) -> JsonObject:
    return {**one, **{key: _all_of(one[key], value) if key in one else value for key, value in other.items()}}


def _types(one: str | list[str], other: str | list[str]) -> list[str]:
    first, second = ([kinds] if isinstance(kinds, str) else list(kinds) for kinds in (one, other))
    for kinds in (first, second):
        if "number" in kinds:
            kinds.append("integer")
    return [kind for kind in first if kind in second]


def _either(one: list[Any], other: list[Any]) -> list[Any]:
    return [value for value in one if value in other]


_JOINED: dict[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "enum": _either,
    "required": lambda one, other: [*one, *other],
    "properties": _properties,
    "items": _all_of,
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), cast("Any", max)),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), cast("Any", min)),
}
"""How to merge the keywords that both schemas have."""
