"""Makes a value that a JSON Schema allows: what the schema itself offers, or what its types and bounds suggest. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). Values are tried, the likeliest first, and jsonschema holds
each against the schema: what comes out is valid, and where nothing was found that is said. The same schema gives the
same value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun.evaluation import bounded
from mcprun.evaluation.json_schema import InvalidSchemaError, check_schema
from mcprun.tools.api_schema import MOST_SCHEMA_DEPTH
from mcprun.tools.json_schema.generate_scalars import numbers, strings
from mcprun.tools.json_schema.variants import SchemaVariants, weight

_MOST_STEPS = 2000
"""Schemas that are looked into for one value, each as often as it is met; and those that speak of one place of it."""

_MOST_LEVELS, _SHALLOW = 12, 3
"""Levels of a value that is made; and the one from which on what ends comes first, so that circles are cut."""

_MOST_TRIED = 40
"""Values of one schema that are tried."""

_MAX_FAILURES = 3
"""Validations that may time out before no more values are tried. Each takes a second."""

_MOST_ITEMS = 100
"""Items of a list, and properties of an object, that are made."""

_MOST_CHARACTERS, _MOST_DEPTH = 5000, 20
"""How long a value may be as JSON, and how deep: nobody reads more, whoever offers it."""

_TYPES = ("object", "string", "integer", "number", "boolean", "array", "null")


def generate_value(schema: Any, *, tool: str = "", reads_only: bool = False) -> Any:
    """Make a JSON value that a schema allows: of an object what is required, and what it is not valid without.

    Text is chosen by the names of properties and of the `tool` that it is for, and whether that only reads
    (`reads_only`). Nothing is fetched: references must be local. Raises `ValueError`, which says why, where no value is
    found.
    """
    if levels(schema) > MOST_SCHEMA_DEPTH:
        raise ValueError(f"the schema is nested more than {MOST_SCHEMA_DEPTH} deep")
    try:
        check_schema(schema)
    except InvalidSchemaError as error:
        raise ValueError(f"the schema is not valid at {error.path}: {error.message[:200]}") from None
    if weight(schema) > _MOST_STEPS:
        raise ValueError("the schema has too many alternatives to be tried")
    maker = _Maker(schema, tool, reads_only=reads_only)
    for value in maker.values(schema):
        return value
    raise ValueError(maker.reason or "none of the values that were tried fits the schema")


class _Maker:
    """Tries values for the schemas of one document."""

    def __init__(self, root: Any, tool: str, *, reads_only: bool) -> None:
        self._root = root
        self._tool = tool
        self._reads_only = reads_only
        self._steps = 0
        self._views = SchemaVariants(root)
        self._schema = bounded.Schema(root, "either")
        self._failures = 0
        self.reason = ""
        """Why the first value that could not be validated could not; empty if all were validated."""

    def values(self, schema: Any, name: str = "", nth: int = 1, level: int = 0) -> Iterator[Any]:
        """Give values that a schema allows. They are for the property `name`, the `nth` of its object."""
        self._steps += 1
        if schema is False or level > _MOST_LEVELS or self._steps > _MOST_STEPS or self._failures >= _MAX_FAILURES:
            return
        tried: set[str] = set()
        for value in islice(self._tried(schema, name, nth, level), _MOST_TRIED):
            text = json.dumps(value, sort_keys=True)
            if text not in tried and len(text) <= _MOST_CHARACTERS and self._allows(schema, value):
                yield value
            tried.add(text)

    def _allows(self, schema: Any, value: Any) -> bool:
        if levels(value) > _MOST_DEPTH or self._failures >= _MAX_FAILURES:
            return False
        try:
            outcome = self._schema.outcome(value, schema)
        except bounded.EvaluationError as error:  # out of time, or references in circles
            self._failures += 1
            self.reason = self.reason or (str(error) if error.is_timeout else "")
            return False
        if outcome.notes and not outcome.problem:  # the tool may refuse what was not checked
            self.reason = self.reason or outcome.notes[0]
        return not (outcome.problem or outcome.notes)

    def _tried(self, schema: Any, name: str, nth: int, level: int) -> Iterator[Any]:
        views = self._views.of(schema)
        if level >= _SHALLOW:
            views.sort(key=lambda view: view.get("type") in ("object", "array"))
        for view in views:
            yield from _offered(view)
        for view in views:
            kinds = view.get("type", _suggested(view))
            for kind in kinds if isinstance(kinds, list) else [kinds]:
                yield from self._of_type(str(kind), view, name, nth, level)

    def _of_type(self, kind: str, view: JsonObject, name: str, nth: int, level: int) -> Iterator[Any]:
        match kind:
            case "object":
                yield from self._objects(view, level)
            case "array":
                yield from self._lists(view, name, nth, level)
            case "string":
                yield from strings(view, name, tool=self._tool, reads_only=self._reads_only)
            case "integer" | "number":
                yield from numbers(view, nth, whole=kind == "integer")
            case "boolean":
                yield from (True, False) if "dry" in name.lower() else (False, True)
            case "null":
                yield None

    def _objects(self, view: JsonObject, level: int) -> Iterator[JsonObject]:
        """Give objects with what is required, then with more: one of the others, all of them, any name at all."""
        declared: JsonObject = view.get("properties", {})
        needed = dict.fromkeys(view.get("required", ()))
        for key in list(needed):
            needed.update(dict.fromkeys(view.get("dependentRequired", {}).get(key, ())))
        others = [key for key in declared if key not in needed]
        free = [f"example{number}" for number in range(1, 4)]
        least = min(int(view.get("minProperties", 0)), _MOST_ITEMS)
        filled = [*needed, *(others + free)[: max(0, least - len(needed))]]
        choices = [filled, *([*needed, other] for other in others), [*needed, *others]]
        known: dict[str, list[Any]] = {}
        for chosen in islice(choices, _MOST_TRIED):
            made: JsonObject = {}
            for nth, key in enumerate(chosen[:_MOST_ITEMS], 1):
                part = declared.get(key, view.get("additionalProperties", True))
                known.setdefault(key, list(islice(self.values(part, key, nth, level + 1), 1)))
                if not known[key]:
                    break
                made[key] = known[key][0]
            else:
                yield made

    def _lists(self, view: JsonObject, name: str, nth: int, level: int) -> Iterator[list[Any]]:
        """Give lists of one item, or of as many as there must be; then the empty one, which deep down comes first."""
        if level >= _SHALLOW:
            yield []
        first: list[Any] = view.get("prefixItems", [])
        rest = view.get("items", view.get("contains", True))
        least = max(1, int(view.get("minItems", 0)), int(view.get("minContains", 0)))
        if least <= _MOST_ITEMS:
            made: list[Any] = []
            for schema in [*first, *[rest] * (least - len(first))][:least]:
                found = self.values(schema, name, nth + len(made) if view.get("uniqueItems") else nth, level + 1)
                item = next((one for one in found if not (view.get("uniqueItems") and one in made)), self)
                if item is self:
                    break
                made.append(item)
            yield made
        yield []


def _offered(view: JsonObject) -> Iterator[Any]:
    """Give the values that a schema itself holds."""
    for keyword in ("default", "const", "example"):
        if keyword in view:
            yield view[keyword]
    for keyword in ("examples", "enum"):
        if isinstance(view.get(keyword), list):
            yield from view[keyword]


def _suggested(view: JsonObject) -> list[str]:
    """Guess the types of a schema that names none, by the keywords it has: anything may be text."""
    by_keyword = {"properties": "object", "required": "object", "items": "array", "prefixItems": "array"}
    by_keyword |= {"minimum": "number", "maximum": "number", "multipleOf": "number"}
    kinds = [kind for keyword, kind in by_keyword.items() if keyword in view]
    return list(dict.fromkeys([*kinds, "string", *_TYPES]))
