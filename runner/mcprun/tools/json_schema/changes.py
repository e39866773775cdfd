"""Compare two JSON Schemas, and classify each difference by its effect on the set of valid values. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). A change reported as `added`, `optional`, `widened` or
`text` refuses no value that was valid before. One assumption is made: values do not contain properties that the old
schema does not declare. So a new optional property is harmless, although a value might already have had a different
property of that name. The assumption is not made for maps: objects with a schema for additional properties, and nested
objects that declare no property at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject, json_equal
from mcprun.evaluation.json_schema import is_schema
from mcprun.tools.api_schema import MAX_SCHEMA_DEPTH
from mcprun.tools.json_schema.document import NOTHING, Document, by_type, is_open
from mcprun.tools.json_schema.keywords import Node, SchemaChange, direction, keywords, texts, whole

_MAX_STEPS = 20_000
"""Maximum pairs of subschemas to compare: a schema that needs more unfolds without end."""

_MAX_DEPTH = 60
"""Maximum depth of nested comparisons: schemas that refer to each other may unfold deeper than they are nested."""

_PROPERTIES = ("patternProperties", "properties", "additionalProperties")
"""Keywords that are compared together if there are patterns and additional properties are constrained."""

_EITHER = frozenset({"anyOf", "oneOf"})

_Part = tuple[Any, str, frozenset[str]]
"""One schema of a list, its `Document.meaning` and its types."""

Names = frozenset[str] | None
"""Property names that the old schema declares for a value; `None` if it may have any."""


def compare_schemas(before: Any, after: Any) -> list[SchemaChange]:
    """Compare two schemas (parsed JSON) with all subschemas, following local references.

    A pair of subschemas that both sides reach by reference is reported once, where it occurs first. If a schema is
    invalid by the 2020-12 metaschema or nested too deep, the result is a single `unclear` change.
    """
    if json_equal(before, after):
        return []
    if not (_is_valid(before) and _is_valid(after)):
        return [SchemaChange("unclear", "", "schema", before, after)]
    comparison = _Comparison(Document(before), Document(after))
    return list(comparison.values(before, after, "", at_root=True))


def _is_valid(schema: Any) -> bool:
    return levels(schema) <= MAX_SCHEMA_DEPTH and is_schema(schema)


class _Comparison:
    """Walks two schemas side by side."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old, self._new = old, new
        self._steps = self._depth = 0
        self._seen: set[tuple[str, str, Names]] = set()

    def values(self, before: Any, after: Any, at: str, *, at_root: bool = False) -> Iterator[SchemaChange]:
        """Compare the schemas of a value to which no other schema applies."""
        names = self._old.names(before)
        yield from self._parts(before, after, at, names if names or at_root else None)

    def _parts(self, before: Any, after: Any, at: str, names: Names) -> Iterator[SchemaChange]:
        """Compare schemas of a value to which other schemas may apply as well."""
        self._steps += 1
        if self._steps > _MAX_STEPS or self._depth > _MAX_DEPTH:
            if self._old.meaning(before) != self._new.meaning(after):
                yield SchemaChange("unclear", at, "schema", before, after)
            return
        old, old_reference = self._old.plain(before)
        new, new_reference = self._new.plain(after)
        if old_reference and new_reference:
            pair = (old_reference, new_reference, names)
            if pair in self._seen:
                yield from texts(before, after, at)
                return
            self._seen.add(pair)
        yield from texts(old, new, at)
        if is_open(old) or is_open(new) or NOTHING in (old, new):
            yield from self._extremes(old, new, at)
            return
        self._depth += 1
        yield from self._both(old, new, at, names)
        self._depth -= 1

    def _extremes(
        self, before: JsonObject, after: JsonObject, at: str, keyword: str = "schema"
    ) -> Iterator[SchemaChange]:
        """Compare two schemas of which one accepts everything or nothing."""
        is_wider = is_open(after) or before == NOTHING
        is_narrower = is_open(before) or after == NOTHING
        if not (is_wider and is_narrower):
            values = (is_open(one) if is_open(one) or one == NOTHING else one for one in (before, after))
            yield SchemaChange(direction(is_wider, is_narrower), at, keyword, *values)

    def _both(self, before: JsonObject, after: JsonObject, at: str, names: Names) -> Iterator[SchemaChange]:
        old, new = self._old.alternatives(before), self._new.alternatives(after)
        if old and not new and not after.keys() & _EITHER:
            new = by_type(after)
        elif new and not old and not before.keys() & _EITHER:
            old = by_type(before)
        if old and new:
            yield from self._any_of(old, new, at, names)
            return
        yield from keywords(Node(self._old, before), Node(self._new, after), at)
        yield from self._all_of(before.get("allOf", []), after.get("allOf", []), at, names)
        if "anyOf" in before and "anyOf" in after:
            yield from self._any_of(before["anyOf"], after["anyOf"], at, names)
        else:
            yield from whole(Node(self._old, before), Node(self._new, after), at, ("anyOf",))
        yield from self._one_of(before, after, at, names)
        yield from self._object(before, after, at, names)
        yield from self._array(before, after, at)

    def _any_of(self, before: list[Any], after: list[Any], at: str, names: Names) -> Iterator[SchemaChange]:
        """Compare alternatives, of which a value must match one: removing one narrows, adding one widens."""
        pairs, removed, added = self._paired(before, after)
        for number, (one, other) in enumerate(pairs):
            yield from self._parts(one, other, at if len(pairs) < 2 else f"{at}.anyOf[{number}]", names)
        yield from (SchemaChange("narrowed", at, "anyOf", one, None) for one in removed)
        yield from (SchemaChange("widened", at, "anyOf", None, one) for one in added)

    def _all_of(self, before: list[Any], after: list[Any], at: str, names: Names) -> Iterator[SchemaChange]:
        """Compare schemas that a value must all match: removing one widens, adding one narrows."""
        pairs, removed, added = self._paired(before, after)
        for one, other in pairs:
            yield from self._parts(one, other, at, names)
        yield from (SchemaChange("widened", at, "allOf", one, None) for one in removed)
        yield from (SchemaChange("narrowed", at, "allOf", None, one) for one in added)

    def _one_of(self, before: JsonObject, after: JsonObject, at: str, names: Names) -> Iterator[SchemaChange]:
        """Compare `oneOf`: like `anyOf` if no value can match two of the schemas, else as a whole."""
        old, new = before.get("oneOf", []), after.get("oneOf", [])
        if old and new and self._old.are_disjoint(old) and self._new.are_disjoint(new):
            yield from self._any_of(old, new, at, names)
        else:
            yield from whole(Node(self._old, before), Node(self._new, after), at, ("oneOf",))

    def _paired(self, before: list[Any], after: list[Any]) -> tuple[list[tuple[Any, Any]], list[Any], list[Any]]:
        """Pair the schemas of two lists: first those with the same meaning, then by the same types, then by a subset.

        Returns the pairs, and the unpaired schemas of both lists.
        """
        removed, added = (
            [(schema, document.meaning(schema), document.types(schema)) for schema in schemas]
            for document, schemas in ((self._old, before), (self._new, after))
        )
        pairs = []
        for is_pair in (_mean_the_same, _have_the_same_types, _share_types):
            for one in tuple(removed):
                at = next((number for number, other in enumerate(added) if is_pair(one, other)), None)
                if at is not None:
                    pairs.append((one[0], added.pop(at)[0]))
                    removed.remove(one)
        return pairs, [one[0] for one in removed], [one[0] for one in added]

    def _object(self, before: JsonObject, after: JsonObject, at: str, names: Names) -> Iterator[SchemaChange]:
        old, new = before.get("properties", {}), after.get("properties", {})
        needed, now_needed = set(before.get("required", ())), set(after.get("required", ()))
        other, _ = self._old.plain(before.get("additionalProperties", True))
        now_other, _ = self._new.plain(after.get("additionalProperties", True))
        for name in dict.fromkeys([*old, *new]):
            place = at + _step(name)
            if name not in new:
                yield SchemaChange("removed", place, "properties", old[name], None)
            elif name in old:
                yield from self.values(old[name], new[name], place)
            else:
                is_needed = name in now_needed and name not in needed
                yield SchemaChange("required" if is_needed else "added", place, "properties", None, new[name])
                is_new = other == NOTHING or (is_open(other) and names is not None and name not in names)
                if not is_new:
                    yield from self.values(other, new[name], place)
        for name in sorted(now_needed - needed - (new.keys() - old.keys())):
            yield SchemaChange("required", at + _step(name), "required", False, True)
        for name in sorted(needed - now_needed - (old.keys() - new.keys())):
            yield SchemaChange("optional", at + _step(name), "required", True, False)
        is_plain = all(is_open(one) or one == NOTHING for one in (other, now_other))
        if is_plain:
            yield from self._extremes(other, now_other, at, "additionalProperties")
        else:
            yield from self.values(other, now_other, f"{at}.*")
        patterns = ("patternProperties",) if is_plain and is_open(other) and is_open(now_other) else _PROPERTIES
        if "patternProperties" in before or "patternProperties" in after:
            yield from whole(Node(self._old, before), Node(self._new, after), at, patterns)

    def _array(self, before: JsonObject, after: JsonObject, at: str) -> Iterator[SchemaChange]:
        first, now_first = before.get("prefixItems", []), after.get("prefixItems", [])
        rest, now_rest = before.get("items", True), after.get("items", True)
        for number in range(max(len(first), len(now_first))):
            one = first[number] if number < len(first) else rest
            other = now_first[number] if number < len(now_first) else now_rest
            yield from self.values(one, other, f"{at}[{number}]")
        yield from self.values(rest, now_rest, f"{at}[]")


def _mean_the_same(one: _Part, other: _Part) -> bool:
    return one[1] == other[1]


def _have_the_same_types(one: _Part, other: _Part) -> bool:
    return one[2] == other[2]


def _share_types(one: _Part, other: _Part) -> bool:
    return one[2] <= other[2] or other[2] <= one[2]


def _step(name: str) -> str:
    """Format a property's name as a step of a path: `.size`, or `["unit size"]`."""
    return f".{name}" if re.fullmatch(r"[\w$-]+", name) else f"[{json.dumps(name, ensure_ascii=False)}]"
