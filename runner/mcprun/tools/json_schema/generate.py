"""Generate a value that a JSON Schema allows, from the schema's own examples, or from its types and bounds. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). Candidates are tried, the likeliest first, and jsonschema
validates each against the schema. So the value returned is valid, and failing to find one is an error. The result is
deterministic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun.evaluation import evaluator
from mcprun.evaluation.json_schema import InvalidSchemaError, check_schema
from mcprun.tools.api_schema import MAX_SCHEMA_DEPTH
from mcprun.tools.json_schema.described_values import argument_description, described_json
from mcprun.tools.json_schema.generate_scalars import numbers, strings
from mcprun.tools.json_schema.named_values import Argument
from mcprun.tools.json_schema.variants import SchemaVariants, weight

_MAX_STEPS = 2000
"""Maximum visits of subschemas for one value, and maximum `weight` of its schema."""

_MAX_LEVELS, _SHALLOW = 12, 3
"""Maximum levels of a generated value, and the level from which scalars and empty lists come first to end recursion."""

_MAX_TRIED = 40
"""Maximum candidates for one schema."""

_MAX_FAILURES = 3
"""Failed validations after which to give up. One that times out takes a second."""

_MAX_ITEMS = 100
"""Maximum items of a generated list, and properties of a generated object."""

_MAX_CHARACTERS, _MAX_DEPTH = 5000, 20
"""Maximum characters (as JSON) and levels of a value: a larger one is not readable, even if the schema offers it."""

_TYPES = ("object", "string", "integer", "number", "boolean", "array", "null")


def generate_value(schema: Any, *, tool: str = "", about: str = "", reads_only: bool = False) -> Any:
    """Return a JSON value that a schema allows. Objects get the properties that are required or needed to be valid.

    Values are chosen by the names and descriptions of the properties, by the name and the description (`about`) of the
    `tool`, and by whether the tool only reads (`reads_only`). References must be local; nothing is fetched. Raises
    `ValueError` with the reason if no value is found.
    """
    if levels(schema) > MAX_SCHEMA_DEPTH:
        raise ValueError(f"the schema is nested more than {MAX_SCHEMA_DEPTH} deep")
    try:
        check_schema(schema)
    except InvalidSchemaError as error:
        raise ValueError(f"the schema is not valid at {error.path}: {error.message[:200]}") from None
    if weight(schema) > _MAX_STEPS:
        raise ValueError("the schema has too many alternatives to try")
    generator = _Generator(schema, tool, about, reads_only=reads_only)
    for value in generator.values(schema):
        return value
    raise ValueError(generator.reason or "none of the values tried is valid against the schema")


class _Generator:
    """Generates values for the subschemas of one document."""

    def __init__(self, root: Any, tool: str, about: str, *, reads_only: bool) -> None:
        self._root = root
        self._tool = tool
        self._about = about
        self._reads_only = reads_only
        self._steps = 0
        self._views = SchemaVariants(root)
        self._schema = evaluator.Schema(root, "either")
        self._failures = 0
        self.reason = ""
        """Why the first candidate could not be validated; empty if all could."""

    def values(self, schema: Any, name: str = "", nth: int = 1, level: int = 0, about: str = "") -> Iterator[Any]:
        """Yield values that a schema allows, for the property `name`, the `nth` of its object.

        `about` is the description of the list that the value is an item of.
        """
        self._steps += 1
        if schema is False or level > _MAX_LEVELS or self._steps > _MAX_STEPS or self._failures >= _MAX_FAILURES:
            return
        tried: set[str] = set()
        for value in islice(self._tried(schema, name, nth, level, about), _MAX_TRIED):
            text = json.dumps(value, sort_keys=True)
            if text not in tried and len(text) <= _MAX_CHARACTERS and self._allows(schema, value):
                yield value
            tried.add(text)

    def _allows(self, schema: Any, value: Any) -> bool:
        if levels(value) > _MAX_DEPTH or self._failures >= _MAX_FAILURES:
            return False
        try:
            outcome = self._schema.outcome(value, schema)
        except evaluator.EvaluationError as error:  # timed out, or circular references
            self._failures += 1
            self.reason = self.reason or (str(error) if error.is_timeout else "")
            return False
        if outcome.notes and not outcome.problem:  # the tool may refuse a value that was not fully checked
            self.reason = self.reason or outcome.notes[0]
        return not (outcome.problem or outcome.notes)

    def _tried(self, schema: Any, name: str, nth: int, level: int, about: str) -> Iterator[Any]:
        views = self._views.of(schema)
        if level >= _SHALLOW:
            views.sort(key=lambda view: view.get("type") in ("object", "array"))
        for view in views:
            yield from _offered(view)
        for view in views:
            kinds = view.get("type", _suggested(view))
            argument = self._argument(name, view, about)
            for kind in kinds if isinstance(kinds, list) else [kinds]:
                yield from self._of_type(str(kind), view, argument, nth, level)

    def _argument(self, name: str, view: JsonObject, about: str) -> Argument:
        described = view.get("description")
        about = described if isinstance(described, str) else about or (name and argument_description(self._about, name))
        if not about and isinstance(self._root, dict) and len(self._root.get("properties") or ()) == 1:
            about = self._about  # it describes the only argument
        return Argument(name, about, self._tool, self._reads_only)

    def _of_type(self, kind: str, view: JsonObject, argument: Argument, nth: int, level: int) -> Iterator[Any]:
        name = argument.name
        match kind:
            case "object":
                yield from (value for value in described_json(argument.about) if level)
                yield from self._objects(view, level)
            case "array":
                yield from described_json(argument.about)
                yield from self._lists(view, argument, nth, level)
            case "string":
                yield from strings(view, argument)
            case "integer" | "number":
                yield from numbers(view, nth, argument, whole=kind == "integer")
            case "boolean":
                yield from (True, False) if "dry" in name.lower() else (False, True)
            case "null":
                yield None

    def _objects(self, view: JsonObject, level: int) -> Iterator[JsonObject]:
        """Yield objects with the required properties only, then with each optional one added, then with all of them.

        To reach `minProperties`, optional properties come first, then made-up names.
        """
        declared: JsonObject = view.get("properties", {})
        needed = dict.fromkeys(view.get("required", ()))
        for key in list(needed):
            needed.update(dict.fromkeys(view.get("dependentRequired", {}).get(key, ())))
        others = [key for key in declared if key not in needed]
        free = [f"example{number}" for number in range(1, 4)]
        min_count = min(int(view.get("minProperties", 0)), _MAX_ITEMS)
        filled = [*needed, *(others + free)[: max(0, min_count - len(needed))]]
        choices = [filled, *([*needed, other] for other in others), [*needed, *others]]
        values_by_key: dict[str, list[Any]] = {}
        for chosen in islice(choices, _MAX_TRIED):
            value: JsonObject = {}
            for nth, key in enumerate(chosen[:_MAX_ITEMS], 1):
                part = declared.get(key, view.get("additionalProperties", True))
                values_by_key.setdefault(key, list(islice(self.values(part, key, nth, level + 1), 1)))
                if not values_by_key[key]:
                    break
                value[key] = values_by_key[key][0]
            else:
                yield value

    def _lists(self, view: JsonObject, argument: Argument, nth: int, level: int) -> Iterator[list[Any]]:
        """Yield a list with one item, or as many as required, then an empty one, which comes first at deep levels."""
        if level >= _SHALLOW:
            yield []
        first: list[Any] = view.get("prefixItems", [])
        rest = view.get("items", view.get("contains", True))
        min_count = max(1, int(view.get("minItems", 0)), int(view.get("minContains", 0)))
        if min_count <= _MAX_ITEMS:
            items: list[Any] = []
            for schema in [*first, *[rest] * (min_count - len(first))][:min_count]:
                number = nth + len(items) if view.get("uniqueItems") else nth
                candidates = self.values(schema, argument.name, number, level + 1, argument.about)
                item = next((one for one in candidates if not (view.get("uniqueItems") and one in items)), self)
                if item is self:
                    break
                items.append(item)
            yield items
        yield []


def _offered(view: JsonObject) -> Iterator[Any]:
    """Yield the values in a schema's `default`, `const`, `example`, `examples` and `enum`."""
    for keyword in ("default", "const", "example"):
        if keyword in view:
            yield view[keyword]
    for keyword in ("examples", "enum"):
        if isinstance(view.get(keyword), list):
            yield from view[keyword]


def _suggested(view: JsonObject) -> list[str]:
    """Return all types for a schema without `type`, the likeliest first: those its keywords suggest, then string."""
    by_keyword = {"properties": "object", "required": "object", "items": "array", "prefixItems": "array"}
    by_keyword |= {"minimum": "number", "maximum": "number", "multipleOf": "number"}
    kinds = [kind for keyword, kind in by_keyword.items() if keyword in view]
    return list(dict.fromkeys([*kinds, "string", *_TYPES]))
