"""Find the arguments of a tool in its input schema, and mark those that calls pass. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12). Alternatives are merged: an argument of any branch of
`anyOf`, `oneOf`, `allOf`, `then`, `else` or `dependentSchemas` is an argument of the tool. A server's schema may be
anything, so what is not valid in it is skipped, and its size is bounded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from mcprun._util.json_path import child_path
from mcprun._util.json_value import key_of
from mcprun.analysis.coverage.coverage import ArgumentCoverage
from mcprun.evaluation.schema_references import referred

MAX_ARGUMENTS = 1_000
"""Maximum arguments of one tool, nested ones included."""

MAX_LEVELS = 8
"""Maximum levels of nested arguments."""

MAX_VALUES = 1_000
"""Maximum listed values of one argument. Of a longer list, none is tracked."""

_MAX_SCHEMAS = 20_000
"""Maximum subschemas to visit in one schema."""

_BRANCH_LISTS = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("then", "else")


@dataclass(slots=True)
class _Values:
    """The values that a schema lists for an argument, and which of them were passed, by their keys."""

    kind: Literal["enum", "boolean"]
    listed: dict[Hashable, Any] = field(default_factory=dict)
    seen: set[Hashable] = field(default_factory=set)


@dataclass(slots=True)
class _Node:
    """A place in a tool's input: its properties by name, its `items` if it is an array, and its listed values."""

    exercised: bool = False
    properties: dict[str, _Node] = field(default_factory=dict)
    items: _Node | None = None
    values: _Values | None = None

    def mark(self, value: Any) -> None:
        """Mark this place and those within it that a value has."""
        self.exercised = True
        if self.values and (key := _key(value)) in self.values.listed:
            self.values.seen.add(key)
        if isinstance(value, dict):
            for name, node in self.properties.items():
                if name in value:
                    node.mark(value[name])
        elif self.items and isinstance(value, list):
            for item in value:
                self.items.mark(item)


class Arguments:
    """The arguments of one tool, of all the schemas that were added."""

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0

    def add_schema(self, schema: Any) -> None:
        """Add the arguments of an input schema."""
        _Reader(schema, self).read(schema, self._root, 0, frozenset())

    def mark(self, arguments: Any) -> None:
        """Mark the arguments of a call, and their values, as exercised."""
        self._root.mark(arguments)

    def coverage(self) -> tuple[ArgumentCoverage, ...]:
        """Return the arguments in the order of the schemas, each before those nested in it."""
        return tuple(_arguments(self._root, ""))

    def admit(self) -> bool:
        """Count one more argument. Return whether it is within the maximum."""
        self._count += 1
        return self._count <= MAX_ARGUMENTS


class _Reader:
    """Reads one schema into the arguments of a tool."""

    def __init__(self, root: Any, arguments: Arguments) -> None:
        self._root = root
        self._arguments = arguments
        self._visits = 0

    def read(self, schema: Any, node: _Node, level: int, followed: frozenset[str]) -> None:
        """Add what a subschema declares about a place. `followed` are the references on the way to it."""
        self._visits += 1
        if not isinstance(schema, dict) or self._visits > _MAX_SCHEMAS:
            return
        _add_values(node, schema)
        if level < MAX_LEVELS:
            self._read_children(schema, node, level, followed)
        for branch in _branches(schema):
            self.read(branch, node, level, followed)
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            self.read(referred(self._root, reference), node, level, followed | {reference})

    def _read_children(self, schema: dict[str, Any], node: _Node, level: int, followed: frozenset[str]) -> None:
        for name, inner in _mapping(schema.get("properties")):
            if inner is False:  # a property that must be absent
                continue
            if name not in node.properties:
                if not self._arguments.admit():
                    return
                node.properties[name] = _Node()
            self.read(inner, node.properties[name], level + 1, followed)
        for inner in (schema.get("items"), *_list(schema.get("prefixItems"))):
            if level and isinstance(inner, dict):  # the input itself is an object
                node.items = node.items or _Node()
                self.read(inner, node.items, level + 1, followed)


def _branches(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield the schemas within a schema that may apply to the same value."""
    for keyword in _BRANCH_LISTS:
        yield from _list(schema.get(keyword))
    for keyword in _BRANCHES:
        yield schema.get(keyword)
    for _, inner in _mapping(schema.get("dependentSchemas")):
        yield inner


def _add_values(node: _Node, schema: dict[str, Any]) -> None:
    """Add the values that a schema lists: those of `enum` or `const`, else those of the type `boolean`."""
    kind: Literal["enum", "boolean"] = "enum"
    if isinstance(schema.get("enum"), list):
        values = schema["enum"]
    elif "const" in schema:
        values = [schema["const"]]
    elif "boolean" in (schema.get("type"), *_list(schema.get("type"))):
        kind, values = "boolean", [True, False]
    else:
        return
    if len(values) > MAX_VALUES:
        return
    found = node.values or _Values(kind)
    found.kind = "enum" if kind == "enum" else found.kind
    for value in values:
        found.listed.setdefault(_key(value), value)
    node.values = found if found.listed and len(found.listed) <= MAX_VALUES else None


def _arguments(node: _Node, path: str) -> Iterator[ArgumentCoverage]:
    """Yield the arguments within a place. The items of an array are one only if they have listed values."""
    for name, inner in node.properties.items():
        inner_path = child_path(path, name)
        yield _argument(inner, inner_path)
        yield from _arguments(inner, inner_path)
    if node.items:
        inner_path = child_path(path, None)
        if node.items.values:
            yield _argument(node.items, inner_path)
        yield from _arguments(node.items, inner_path)


def _argument(node: _Node, path: str) -> ArgumentCoverage:
    if not node.values:
        return ArgumentCoverage(path, node.exercised)
    listed, seen = node.values.listed, node.values.seen
    return ArgumentCoverage(
        path,
        node.exercised,
        node.values.kind,
        tuple(value for key, value in listed.items() if key in seen),
        tuple(value for key, value in listed.items() if key not in seen),
    )


def _key(value: Any) -> Hashable:
    """Return a key that is the same for two JSON values if and only if they are equal."""
    if isinstance(value, str):
        return ("text", value)
    return key_of(value)


def _mapping(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
