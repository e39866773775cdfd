"""Find the arguments of a tool in its input schema, and mark those that calls pass. Pure.

JSON Schema 2020-12 (https://json-schema.org/draft/2020-12), and `dependencies` and lists in `items` of older drafts.
Alternatives are merged: an argument of any branch of `anyOf`, `oneOf`, `allOf`, `then`, `else` or `dependentSchemas` is
an argument of the tool. So are those that the values of a map have (`additionalProperties`, `patternProperties`). A
server's schema may be anything, so what is not valid in it is skipped, and its size is bounded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from mcprun._util.json_path import child_path
from mcprun._util.json_value import JsonObject, key_of
from mcprun.analysis.coverage.coverage import ArgumentCoverage
from mcprun.evaluation.schema_references import REFERENCES, SAME_VALUE_MAPS, SchemasByPath, is_local, referred

MAX_ARGUMENTS = 1_000
"""Maximum arguments of one tool, nested ones included."""

MAX_LEVELS = 8
"""Maximum levels of nested arguments."""

MAX_VALUES = 1_000
"""Maximum listed values of one argument. Of a longer list, none is tracked."""

_MAX_SCHEMAS = 20_000
"""Maximum subschemas to visit in one schema."""

_MAX_REFERENCES = 100
"""Maximum references on the way to a subschema."""

_BRANCH_LISTS = ("allOf", "anyOf", "oneOf")
_BRANCHES = ("then", "else")


@dataclass(slots=True)
class _Values:
    """The values that a schema lists for an argument, and which of them were passed, by their keys."""

    kind: Literal["enum", "boolean"]
    listed: dict[Hashable, Any] = field(default_factory=dict)
    seen: set[Hashable] = field(default_factory=set)

    @property
    def is_tracked(self) -> bool:
        """Whether there are values, and not too many of them."""
        return 0 < len(self.listed) <= MAX_VALUES


@dataclass(slots=True, eq=False)
class _Node:
    """A place in a tool's input.

    Attributes:
        exercised: Whether a call passed a value here.
        properties: The places of the properties of an object, by name.
        items: The place of any item of an array, or of any value of a map; None if the schema does not describe them.
        is_array: Whether `items` are those of an array.
        is_map: Whether `items` are the values of other properties.
        values: The values that the schema lists; None if it lists none.
        same: Places around this one whose schema a recursive schema repeats here.
    """

    exercised: bool = False
    properties: dict[str, _Node] = field(default_factory=dict)
    items: _Node | None = None
    is_array: bool = False
    is_map: bool = False
    values: _Values | None = None
    same: list[_Node] = field(default_factory=list)

    def mark(self, value: Any) -> Iterator[tuple[_Node, Any]]:
        """Mark this place with a value. Yield the places within it that the value has, each with its own value."""
        self.exercised = True
        if self.values and (key := _key(value)) in self.values.listed:
            self.values.seen.add(key)
        yield from ((node, value) for node in self.same)
        if isinstance(value, dict):
            others = self.items if self.is_map else None
            for name, inner in value.items():
                if node := self.properties.get(name, others):
                    yield node, inner
        elif self.items and self.is_array and isinstance(value, list):
            for inner in value:
                yield self.items, inner


class Arguments:
    """The arguments of one tool, of all the schemas that were added."""

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0

    def add_schema(self, schema: Any) -> None:
        """Add the arguments of an input schema."""
        _Reader(schema, self).read(self._root)

    def mark(self, arguments: Any) -> None:
        """Mark the arguments of a call, and their values, as exercised."""
        todo: list[tuple[_Node, Any]] = [(self._root, arguments)]
        done = set[tuple[int, int]]()  # in a recursive schema, several ways lead to one place
        while todo:
            node, value = todo.pop()
            if (step := (id(node), id(value))) not in done:
                done.add(step)
                todo += node.mark(value)

    def coverage(self) -> tuple[ArgumentCoverage, ...]:
        """Return the arguments in the order of the schemas, each before those nested in it."""
        return tuple(_arguments(self._root, ""))

    def admit(self) -> bool:
        """Count one more argument. Return whether it is within the maximum."""
        self._count += 1
        return self._count <= MAX_ARGUMENTS


@dataclass(frozen=True, slots=True)
class _Visit:
    """A subschema to read, and the place that it describes. `followed` holds that of each reference on the way."""

    schema: Any
    node: _Node
    level: int = 0
    followed: Mapping[str, _Node] = field(default_factory=dict)


class _Reader:
    """Reads one schema into the arguments of a tool."""

    def __init__(self, root: Any, arguments: Arguments) -> None:
        self._root = root
        self._arguments = arguments

    def read(self, root_node: _Node) -> None:
        """Add what the schema declares about the input. Subschemas are visited in order, without recursion."""
        todo, visits = [_Visit(self._root, root_node)], 0
        while todo and visits < _MAX_SCHEMAS:
            visits += 1
            visit = todo.pop()
            if isinstance(visit.schema, dict):
                _add_values(visit.node, visit.schema)
                todo += reversed([*self._children(visit), *self._same_place(visit)])

    def _same_place(self, visit: _Visit) -> Iterator[_Visit]:
        """Yield the branches of a subschema, and those that it refers to."""
        node, level = visit.node, visit.level
        for branch in _branches(visit.schema):
            yield _Visit(branch, node, level, visit.followed)
        for keyword in REFERENCES:
            reference = visit.schema.get(keyword)
            if not isinstance(reference, str) or len(visit.followed) >= _MAX_REFERENCES:
                continue
            around = visit.followed.get(reference)
            if around is None:
                yield _Visit(self._referred(reference), node, level, {**visit.followed, reference: node})
            elif around is not node and around not in node.same:
                node.same.append(around)

    def _referred(self, reference: str) -> Any:
        """Return the subschema that a reference names; None if the schema has none."""
        if is_local(reference):
            return referred(self._root, reference)
        path = self._by_path.target((), reference) if isinstance(self._root, dict) else None
        return None if path is None else self._by_path.schemas.get(path)

    @cached_property
    def _by_path(self) -> SchemasByPath:
        return SchemasByPath(self._root)

    def _children(self, visit: _Visit) -> Iterator[_Visit]:
        """Yield the schemas of the properties and items of a place."""
        schema, node, level = visit.schema, visit.node, visit.level
        if level >= MAX_LEVELS:
            return
        for name, inner in _mapping(schema.get("properties")):
            if inner is False:  # a property that must be absent
                continue
            if name not in node.properties:
                if not self._arguments.admit():
                    break
                node.properties[name] = _Node()
            yield _Visit(inner, node.properties[name], level + 1, visit.followed)
        others = _objects(schema.get("additionalProperties"), *dict(_mapping(schema.get("patternProperties"))).values())
        items: list[JsonObject] = []
        if level:  # the input itself is an object
            items = _objects(schema.get("items"), *_list(schema.get("items")), *_list(schema.get("prefixItems")))
        node.is_map, node.is_array = node.is_map or bool(others), node.is_array or bool(items)
        for inner in (*others, *items):
            node.items = node.items or _Node()
            yield _Visit(inner, node.items, level + 1, visit.followed)


def _branches(schema: JsonObject) -> Iterator[Any]:
    """Yield the schemas within a schema that may apply to the same value."""
    for keyword in _BRANCH_LISTS:
        yield from _list(schema.get(keyword))
    for keyword in _BRANCHES:
        yield schema.get(keyword)
    for keyword in SAME_VALUE_MAPS:
        for _, inner in _mapping(schema.get(keyword)):
            yield inner


def _add_values(node: _Node, schema: JsonObject) -> None:
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
    found = node.values = node.values or _Values(kind)
    found.kind = "enum" if kind == "enum" else found.kind
    for value in values:
        if len(found.listed) > MAX_VALUES:
            return
        found.listed.setdefault(_key(value), value)


def _arguments(node: _Node, path: str) -> Iterator[ArgumentCoverage]:
    """Yield the arguments within a place. Items and values of maps need listed values."""
    for name, inner in node.properties.items():
        inner_path = child_path(path, name)
        yield _argument(inner, inner_path)
        yield from _arguments(inner, inner_path)
    if node.items:
        inner_path = child_path(path, None)
        if node.items.values and node.items.values.is_tracked:
            yield _argument(node.items, inner_path)
        yield from _arguments(node.items, inner_path)


def _argument(node: _Node, path: str) -> ArgumentCoverage:
    if not node.values or not node.values.is_tracked:
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


def _objects(*values: Any) -> list[JsonObject]:
    return [value for value in values if isinstance(value, dict)]


def _mapping(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
