"""Check the input of a call, or what is expected of it, against the tool's input schema.

Parts of an input may be unknown until the call is made: references of a script, and matchers of an expectation. They
are replaced by `Unknown`, and a violation that depends on one is not reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mcprun._util.json_path import child_path
from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun._util.similar_names import did_you_mean, similar_name
from mcprun.evaluation.evaluator import EvaluationError, Schema
from mcprun.evaluation.json_schema import is_schema
from mcprun.tools.api_schema import MAX_SCHEMA_DEPTH
from mcprun.tools.arguments import kinds_of, named_kinds
from mcprun.tools.json_schema.variants import SchemaVariants


class InputProblem(NamedTuple):
    """The path of a value in an input, such as `a.b[0]` (empty for the whole input), and the message about it.

    `is_certain` is false if the value is not known yet, and the server may accept it.
    """

    path: str
    message: str
    is_certain: bool = True


_INDEX = re.compile(r"^\.")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A part of an input that is not known yet. `kind` is its JSON type, if that is known, and `origin` what yields it.

    `advice` says how to get a value of another type.
    """

    kind: str = ""
    origin: str = ""
    advice: str = ""


class InputSchema:
    """The input schema of a tool in wire form, to check several inputs. Nothing is checked if it is not usable."""

    def __init__(self, tool: JsonObject) -> None:
        schema = tool.get("inputSchema")
        is_usable = isinstance(schema, dict) and levels(schema) <= MAX_SCHEMA_DEPTH and is_schema(schema)
        self._root = schema if is_usable else None
        self._validator = Schema(schema, "ecma") if is_usable else None

    def problems(self, value: JsonObject, *, is_partial: bool = False) -> list[InputProblem]:
        """Return how an input violates the schema.

        With `is_partial`, the input may hold more keys than `value`, so that none is missing.
        """
        if self._validator is None:
            return []
        check = _Check(self._validator, SchemaVariants(self._root), is_partial=is_partial)
        try:
            return list(check.object(value, self._root, "")) or list(check.values(value, self._root, ""))
        except EvaluationError:
            return []


def input_problems(tool: JsonObject, value: JsonObject, *, is_partial: bool = False) -> list[InputProblem]:
    """Return how an input violates the schema of a tool in wire form (`InputSchema.problems`)."""
    return InputSchema(tool).problems(value, is_partial=is_partial)


@dataclass(frozen=True, slots=True)
class _Check:
    """A check of one input against the subschemas of one document."""

    schema: Schema
    variants: SchemaVariants
    is_partial: bool

    def object(self, value: JsonObject, schema: Any, path: str) -> Iterator[InputProblem]:
        """Yield the keys that an object, or one within it, must not have or lacks."""
        views = self.variants.of(schema)
        properties = _properties(views)
        is_closed = bool(views) and all(view.get("additionalProperties") is False for view in views)
        has_patterns = any(view.get("patternProperties") for view in views)
        for key, item in value.items():
            if key in properties:
                if isinstance(item, dict):
                    yield from self.object(item, properties[key], f"{path}{key}.")
            elif is_closed and not has_patterns:
                known = f"; the keys are {', '.join(map(repr, properties))}" if properties else ""
                message = f"there is no such argument{did_you_mean(key, properties) or known}"
                yield InputProblem(f"{path}{key}", message)
            elif (similar := similar_name(key, properties)) and similar not in value and not has_patterns:
                yield InputProblem(f"{path}{key}", f"there is no such argument; did you mean {similar!r}?")
        required = set.intersection(*(set(view.get("required", ())) for view in views)) if views else set()
        if not self.is_partial:
            missing = sorted(required - value.keys())
            yield from (InputProblem(f"{path}{key}", "is missing, but required") for key in missing)

    def values(self, value: Any, schema: Any, path: str) -> Iterator[InputProblem]:
        """Yield the first violation of each known part: of the whole value if all of it is known."""
        if isinstance(value, Unknown):
            kinds = frozenset[str]().union(*map(kinds_of, self.variants.of(schema) or [{}]))
            if value.kind and value.kind not in kinds and not (value.kind == "integer" and "number" in kinds):
                message = f"must be {named_kinds(kinds)}, but {value.origin}{value.advice}"
                yield InputProblem(path, message, is_certain=False)
            return
        is_open = self.is_partial and isinstance(value, dict)
        if not is_open and not _has_unknown(value):
            problem = self.schema.outcome(value, schema).problem
            if problem:
                yield InputProblem(_joined(path, problem.path), problem.message)
            return
        views = self.variants.of(schema)
        if isinstance(value, dict):
            properties = _properties(views)
            for key, item in value.items():
                if key in properties:
                    yield from self.values(item, properties[key], child_path(path, key))
        elif isinstance(value, list):
            items = next((view["items"] for view in views if "items" in view), True)
            for at, item in enumerate(value):
                yield from self.values(item, items, child_path(path, at))


def _properties(views: Sequence[JsonObject]) -> JsonObject:
    properties: JsonObject = {}
    for view in views:
        properties = {**view.get("properties", {}), **properties}
    return properties


def _has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_unknown, value.values()))
    return any(map(_has_unknown, value)) if isinstance(value, list) else isinstance(value, Unknown)


def _joined(path: str, inner: str) -> str:
    """Join the path of a value with a JSON path within it, such as `$.a[0]`."""
    rest = inner.removeprefix("$")
    return f"{path}{rest}" if path else _INDEX.sub("", rest)
