"""Compare the keywords of two JSON Schemas one by one. Pure.

JSON Schema Validation 2020-12 (https://json-schema.org/draft/2020-12/json-schema-validation). All keywords of a schema
must hold. So if no keyword has become narrower, the schema still accepts every value that was valid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from mcprun._util.json_value import JsonObject, json_equal
from mcprun.tools.json_schema.document import CONSTRAINTS, Document, named_types, values_of

Kind = Literal["added", "removed", "required", "optional", "narrowed", "widened", "changed", "unclear", "text"]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One difference between two schemas.

    `kind` is the effect on the set of valid values: fewer (`narrowed`), more (`widened`), different (`changed`), or
    not decidable (`unclear`). A property may be `added`, `removed`, now `required` (it may also be new) or now
    `optional`. A `text` has no effect. `at` is the path, such as `.items[].size`, and `keyword` the keyword there.
    """

    kind: Kind
    at: str
    keyword: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class _Bound:
    """A keyword that bounds a value from below (`sign` 1) or from above (-1), and its exclusive form, if there is one.

    `weakest` is the value that a schema without the keyword implies, multiplied by `sign`.
    """

    keyword: str
    sign: int
    weakest: float = -math.inf
    exclusive: str = ""

    def is_valid(self, schema: JsonObject) -> bool:
        """Return whether the keyword and its exclusive form, if present, are numbers."""
        values = (schema[key] for key in (self.keyword, self.exclusive) if key in schema)
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)

    def strictest(self, schema: JsonObject) -> tuple[float, bool]:
        """Return the stricter form, multiplied by `sign`, and whether it is exclusive. The larger is the stricter."""
        bounds: list[tuple[float, bool]] = [(self.weakest, False)]
        if self.keyword in schema:
            bounds.append((self.sign * schema[self.keyword], False))
        if self.exclusive in schema:
            bounds.append((self.sign * schema[self.exclusive], True))
        return max(bounds)

    def shown(self, schema: JsonObject) -> Any:
        """Return the keyword's value; an object of both forms if there is an exclusive one; None without either."""
        found = {key: schema[key] for key in (self.keyword, self.exclusive) if key in schema}
        return found if self.exclusive in found else _unwrap_single(found)


_BOUNDS = (
    _Bound("minimum", 1, exclusive="exclusiveMinimum"), _Bound("maximum", -1, exclusive="exclusiveMaximum"),
    _Bound("minLength", 1, weakest=0), _Bound("maxLength", -1),
    _Bound("minItems", 1, weakest=0), _Bound("maxItems", -1),
    _Bound("minProperties", 1, weakest=0), _Bound("maxProperties", -1),
)  # fmt: skip

_GROUPS = (
    ("pattern",), ("format",), ("uniqueItems",), ("multipleOf",), ("not",), ("if", "then", "else"), ("propertyNames",),
    ("contains", "minContains", "maxContains"), ("dependentRequired",), ("dependentSchemas",), ("dependencies",),
    ("contentEncoding", "contentMediaType", "contentSchema"), ("unevaluatedProperties",), ("unevaluatedItems",),
    ("$ref",), ("$dynamicRef",), ("$recursiveRef",),
)  # fmt: skip
"""Keywords that are compared only as a whole, grouped with those they depend on."""

_WITHOUT_FORCE = (("uniqueItems", False), ("unevaluatedProperties", True), ("unevaluatedItems", True))
"""Keywords with the value that has the same effect as their absence."""

_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")

_UNREAD = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary", "$comment", "$defs", "definitions"})
"""Keywords that are neither constraints nor text shown to a model."""


def texts(before: JsonObject, after: JsonObject, at: str) -> Iterator[SchemaChange]:
    """Compare the keywords that a validator ignores: descriptions, titles, defaults, examples and unknown ones."""
    for keyword in dict.fromkeys([*before, *after]):
        if keyword in CONSTRAINTS or keyword in _UNREAD:
            continue
        if (keyword in before) != (keyword in after) or not json_equal(before.get(keyword), after.get(keyword)):
            yield SchemaChange("text", at, keyword, before.get(keyword), after.get(keyword))


class Node(NamedTuple):
    """A schema object, and the document that its references lead into."""

    document: Document
    schema: JsonObject

    def meaning_of(self, group: tuple[str, ...]) -> tuple[JsonObject, Any]:
        """Return the keywords of a group that have an effect, and their `Document.meaning`."""
        found = {key: self.schema[key] for key in group if key in self.schema}
        found = {key: value for key, value in found.items() if not _is_without_force(key, value)}
        return found, self.document.meaning(found)


def keywords(old: Node, new: Node, at: str) -> Iterator[SchemaChange]:
    """Compare all keywords except applicators for properties, items and combinations of schemas."""
    yield from _types(old, new, at)
    yield from _values(old.schema, new.schema, at)
    for bound in _BOUNDS:
        yield from _bound(old.schema, new.schema, at, bound)
    for group in _GROUPS:
        yield from whole(old, new, at, group)


def whole(old: Node, new: Node, at: str, group: tuple[str, ...]) -> Iterator[SchemaChange]:
    """Compare a group of keywords as a whole: adding it narrows, removing it widens, any other change is unclear."""
    (old_keywords, old_meaning), (new_keywords, new_meaning) = old.meaning_of(group), new.meaning_of(group)
    same = old_meaning == new_meaning
    if same and old_keywords and group[0] in _UNEVALUATED:  # its effect depends on all sibling keywords
        same = old.document.meaning(old.schema) == new.document.meaning(new.schema)
    if not same:
        kind: Kind = "narrowed" if not old_keywords else "widened" if not new_keywords else "unclear"
        yield SchemaChange(kind, at, group[0], _unwrap_single(old_keywords), _unwrap_single(new_keywords))


def _is_without_force(keyword: str, value: Any) -> bool:
    return any(keyword == name and json_equal(value, default) for name, default in _WITHOUT_FORCE)


def direction(is_wider: bool, is_narrower: bool) -> Kind:
    """Return the kind of a change.

    `is_wider` is whether all values that were valid still are, `is_narrower` whether all that are valid now were.
    """
    return "widened" if is_wider else "narrowed" if is_narrower else "changed"


def _types(old: Node, new: Node, at: str) -> Iterator[SchemaChange]:
    old_types, new_types = named_types(old.schema), named_types(new.schema)
    is_wider, is_narrower = old.document.types(old.schema) <= new_types, new.document.types(new.schema) <= old_types
    if old_types != new_types and not (is_wider and is_narrower):
        kind = direction(is_wider, is_narrower)
        yield SchemaChange(kind, at, "type", old.schema.get("type"), new.schema.get("type"))


def _values(before: JsonObject, after: JsonObject, at: str) -> Iterator[SchemaChange]:
    old, new = values_of(before), values_of(after)
    is_wider = new is None or (old is not None and old.keys() <= new.keys())
    is_narrower = old is None or (new is not None and new.keys() <= old.keys())
    if is_wider and is_narrower:
        return
    lists = (None if found is None else list(found.values()) for found in (old, new))
    yield SchemaChange(direction(is_wider, is_narrower), at, "enum", *lists)


def _bound(before: JsonObject, after: JsonObject, at: str, bound: _Bound) -> Iterator[SchemaChange]:
    """Compare a bound of two schemas: it narrows when it gets stricter. One that is not a number can't be judged."""
    if not (bound.is_valid(before) and bound.is_valid(after)):
        if not json_equal(bound.shown(before), bound.shown(after)):
            yield SchemaChange("unclear", at, bound.keyword, bound.shown(before), bound.shown(after))
        return
    old, new = bound.strictest(before), bound.strictest(after)
    if old != new:
        yield SchemaChange(
            "narrowed" if new > old else "widened", at, bound.keyword, bound.shown(before), bound.shown(after)
        )


def _unwrap_single(found: JsonObject) -> Any:
    """Return the value of a single keyword, the whole object if there are several, None if there is none."""
    return next(iter(found.values()), None) if len(found) < 2 else found
