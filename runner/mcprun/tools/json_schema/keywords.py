"""How the keywords of one JSON Schema differ from those of another, each by itself. Pure.

JSON Schema Validation 2020-12 (https://json-schema.org/draft/2020-12/json-schema-validation). All keywords of a schema
must hold, so it has become wider when each of them has: no value that was valid is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mcprun._util.json_value import JsonObject, json_equal
from mcprun.tools.json_schema.document import CONSTRAINTS, Document, named_types, values_of

Kind = Literal["added", "removed", "required", "optional", "narrowed", "widened", "changed", "unclear", "text"]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """One thing that differs between two schemas.

    `kind` says what it does to the values that are valid: fewer (`narrowed`), more (`widened`), others (`changed`), or
    that can't be judged (`unclear`). Of a property: `added` and `removed`; `required`, which may be a new one, and
    `optional`. A `text` changes nothing. `at` is the place, such as `.items[].size`, and `keyword` what stands there.
    """

    kind: Kind
    at: str
    keyword: str
    before: Any = None
    after: Any = None


_GROUPS = (
    ("pattern",), ("format",), ("uniqueItems",), ("multipleOf",), ("not",), ("if", "then", "else"), ("propertyNames",),
    ("contains", "minContains", "maxContains"), ("dependentRequired",), ("dependentSchemas",), ("dependencies",),
    ("contentEncoding", "contentMediaType", "contentSchema"), ("unevaluatedProperties",), ("unevaluatedItems",),
    ("$ref",), ("$dynamicRef",), ("$recursiveRef",),
)  # fmt: skip
"""Keywords that are only compared as a whole, with those that they work together with."""

_WITHOUT_FORCE = (("uniqueItems", False), ("unevaluatedProperties", True), ("unevaluatedItems", True))
"""Keywords with the value that they have when they are absent."""

_UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")

_UNREAD = frozenset({"$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary", "$comment", "$defs", "definitions"})
"""What is no constraint and no text that anybody reads."""


def texts(before: JsonObject, after: JsonObject, at: str) -> Iterator[SchemaChange]:
    """Compare what means nothing to a validator: descriptions, titles, defaults, examples, keywords nobody knows."""
    for keyword in dict.fromkeys([*before, *after]):
        if keyword in CONSTRAINTS or keyword in _UNREAD:
            continue
        if (keyword in before) != (keyword in after) or not json_equal(before.get(keyword), after.get(keyword)):
            yield SchemaChange("text", at, keyword, before.get(keyword), after.get(keyword))


def keywords(old: Document, before: JsonObject, new: Document, after: JsonObject, at: str) -> Iterator[SchemaChange]:
    """Compare all keywords but those that hold schemas of parts, or several schemas of the same value."""
    yield from _types(old, before, new, after, at)
    yield from _values(before, after, at)
    for what in ("imum", "Length", "Items", "Properties"):
        yield from _bound(before, after, at, f"min{what}", 1)
        yield from _bound(before, after, at, f"max{what}", -1)
    for group in _GROUPS:
        yield from whole(old, before, new, after, at, group)


def whole(
    old: Document, before: JsonObject, new: Document, after: JsonObject, at: str, group: tuple[str, ...]
) -> Iterator[SchemaChange]:
    """Compare keywords that can't be taken apart: one that is new narrows, and one that is gone widens."""
    ours, theirs = (
        {key: node[key] for key in group if key in node and not _is_without_force(key, node[key])}
        for node in (before, after)
    )
    same = old.meaning(ours) == new.meaning(theirs)
    if same and ours and group[0] in _UNEVALUATED:  # what is left to it depends on all that stands beside it
        same = old.meaning(before) == new.meaning(after)
    if not same:
        kind: Kind = "narrowed" if not ours else "widened" if not theirs else "unclear"
        yield SchemaChange(kind, at, group[0], _alone(ours), _alone(theirs))


def _is_without_force(keyword: str, value: Any) -> bool:
    return any(keyword == name and json_equal(value, default) for name, default in _WITHOUT_FORCE)


def direction(is_wider: bool, is_narrower: bool) -> Kind:
    """Name a change by whether all values that were valid still are, and all that are valid were."""
    return "widened" if is_wider else "narrowed" if is_narrower else "changed"


def _types(old: Document, before: JsonObject, new: Document, after: JsonObject, at: str) -> Iterator[SchemaChange]:
    ours, theirs = named_types(before), named_types(after)
    is_wider, is_narrower = old.types(before) <= theirs, new.types(after) <= ours
    if ours != theirs and not (is_wider and is_narrower):
        kind = direction(is_wider, is_narrower)
        yield SchemaChange(kind, at, "type", before.get("type"), after.get("type"))


def _values(before: JsonObject, after: JsonObject, at: str) -> Iterator[SchemaChange]:
    ours, theirs = values_of(before), values_of(after)
    is_wider = theirs is None or (ours is not None and ours.keys() <= theirs.keys())
    is_narrower = ours is None or (theirs is not None and theirs.keys() <= ours.keys())
    if is_wider and is_narrower:
        return
    told = (None if found is None else list(found.values()) for found in (ours, theirs))
    yield SchemaChange(direction(is_wider, is_narrower), at, "enum", *told)


def _bound(before: JsonObject, after: JsonObject, at: str, keyword: str, sign: int) -> Iterator[SchemaChange]:
    """Compare a bound; `sign` is 1 for a lower one, that narrows when it rises, and -1 for an upper one."""
    ours, theirs = (_strictest(node, keyword, sign) for node in (before, after))
    if ours != theirs:
        told = (_shown(node, keyword) for node in (before, after))
        yield SchemaChange("narrowed" if theirs > ours else "widened", at, keyword, *told)


def _strictest(schema: JsonObject, keyword: str, sign: int) -> tuple[float, bool]:
    """Give the bound, larger where it is stricter, and whether the value itself is out."""
    none = 0 if keyword in ("minLength", "minItems", "minProperties") else -math.inf
    bounds: list[tuple[float, bool]] = [(none, False)]
    if keyword in schema:
        bounds.append((sign * schema[keyword], False))
    if (exclusive := _exclusive(keyword)) in schema:
        bounds.append((sign * schema[exclusive], True))
    return max(bounds)


def _exclusive(keyword: str) -> str:
    return f"exclusive{keyword.capitalize()}"


def _shown(schema: JsonObject, keyword: str) -> Any:
    exclusive = _exclusive(keyword)
    found = {key: schema[key] for key in (keyword, exclusive) if key in schema}
    return _alone(found) if found.keys() <= {keyword} else found


def _alone(found: JsonObject) -> Any:
    """Give the value of a keyword, or of several the object."""
    return next(iter(found.values()), None) if len(found) < 2 else found
