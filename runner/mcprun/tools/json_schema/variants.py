"""Schemas as values are made for them: without references and alternatives, one for each way to choose. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). What is joined here is a good guess, not the same meaning:
a value that is made by it must be held against the schema itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import Any, cast

from mcprun._util.json_value import JsonObject
from mcprun.evaluation.json_schema import is_schema
from mcprun.evaluation.schema_references import referred
from mcprun.tools.api_schema import each_schema

MOST_WAYS = 16
"""Ways to combine the alternatives of one schema that are given."""

_MOST_STEPS = 20_000
"""Schemas that are looked into in all, each as often as it is met."""

_COMBINING = ("$ref", "allOf", "anyOf", "oneOf")


class SchemaVariants:
    """Gives the views of a document's schemas. `root` is the document, which must be a valid schema."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._referred: dict[str, Any] = {}
        self._steps = 0

    def of(self, schema: Any) -> list[JsonObject]:
        """Give a schema joined with all that it refers to and one of each of its alternatives, for each choice.

        `true` has one view, without a keyword, and `false` has none. References must be local.
        """
        return list(islice(self._views(schema, frozenset()), MOST_WAYS))

    def _views(self, schema: Any, followed: frozenset[str]) -> Iterator[JsonObject]:
        self._steps += 1
        if not isinstance(schema, dict) or self._steps > _MOST_STEPS:
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
        own = {key: value for key, value in schema.items() if key not in _COMBINING}
        for chosen in islice(product(*parts), MOST_WAYS):
            seen = [list(islice(self._views(one, followed), MOST_WAYS)) for one in chosen]
            for views in islice(product(*seen), MOST_WAYS):
                view = own
                for other in views:
                    view = _merged(view, other)
                yield view

    def _refer(self, reference: str) -> Any:
        if reference not in self._referred:
            self._referred[reference] = _schema_at(self._root, reference)
        return self._referred[reference]


def weight(root: Any) -> int:
    """Count the schemas that speak of one and the same place of a value, at the place that has most of them.

    A validator looks into each as often as it is referred to, and alternatives of alternatives multiply.
    """
    known: dict[str, int] = {}
    most = 0

    def weigh(schema: Any) -> int:
        if not isinstance(schema, dict):
            return 1
        inner = [one for keyword in ("allOf", "anyOf", "oneOf") for one in schema.get(keyword, ())]
        inner += [schema[keyword] for keyword in ("not", "if", "then", "else") if keyword in schema]
        inner += schema.get("dependentSchemas", {}).values()
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in known:
            known[reference] = 0  # a circle ends here
            known[reference] = weigh(_schema_at(root, reference))
        return 1 + sum(map(weigh, inner)) + known.get(str(reference), 0)

    def look(schema: JsonObject) -> JsonObject:
        nonlocal most
        most = max(most, weigh(schema))
        return schema

    each_schema(root, look)
    return most


def _schema_at(root: Any, reference: str) -> Any:
    """Give what a local reference points to, if that is a schema, which nobody may have checked; else `False`."""
    found = referred(root, reference)
    return found if is_schema(found) else False


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """Join two schemas that must both hold; what can't be joined is taken of the first."""
    both = {key: _JOINED[key](one[key], other[key]) for key in _JOINED if key in one and key in other}
    return {**other, **one, **both}


def _all_of(one: Any, other: Any) -> Any:
    return one if one == other else {"allOf": [one, other]}


def _properties(one: JsonObject, other: JsonObject) -> JsonObject:
    return {**one, **{key: _all_of(one[key], value) if key in one else value for key, value in other.items()}}


def _types(one: str | list[str], other: str | list[str]) -> list[str]:
    ours, theirs = ([kinds] if isinstance(kinds, str) else list(kinds) for kinds in (one, other))
    for kinds in (ours, theirs):
        if "number" in kinds:
            kinds.append("integer")
    return [kind for kind in ours if kind in theirs]


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
"""How keywords are joined that stand in both schemas."""
