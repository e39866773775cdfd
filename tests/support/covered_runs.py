"""Hypothesis strategies for input schemas whose arguments are known, and for servers and calls, for tests of coverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from mcprun._util.json_path import format_path
from mcprun.runs.run_record import Malformed, ServerRecord
from mcprun.runs.transcript import CallOutcome
from tests.support.json_strategies import JSON

NAMES = ("a", "b", "c d")
TOOLS = ("list", "get", "put", "drop")

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, "", "x", "y"])


@dataclass(frozen=True)
class Others:
    """A step to each member of an object that is not among the declared `names`."""

    names: frozenset[str]


Steps = tuple[str | Others | None, ...]
"""The steps to a place. None stands for any index."""


@dataclass(frozen=True)
class Place:
    """What is declared about a place in an input: its listed values, its properties, its items or its other members."""

    values: tuple[Any, ...] = ()
    is_boolean: bool = False
    properties: tuple[tuple[str, Place], ...] = ()
    items: Place | None = None
    others: Place | None = None
    wrapper: str = ""

    @property
    def listed(self) -> tuple[Any, ...]:
        return (True, False) if self.is_boolean else self.values

    def schema(self, definitions: dict[str, Any]) -> dict[str, Any]:
        """Return the schema of the place. A wrapper hides it behind a reference or in a branch."""
        schema: dict[str, Any] = {"type": "boolean"} if self.is_boolean else {}
        if self.values:
            schema = {"enum": [*self.values]}
        if self.properties:
            schema["properties"] = {name: place.schema(definitions) for name, place in self.properties}
        if self.items:
            schema["items"] = self.items.schema(definitions)
        if self.others:
            schema["additionalProperties"] = self.others.schema(definitions)
        if self.wrapper == "$ref":
            name = f"d{len(definitions)}"
            definitions[name] = schema
            return {"$ref": f"#/$defs/{name}"}
        return {self.wrapper: [schema, {"description": "other"}]} if self.wrapper else schema


@dataclass(frozen=True)
class Declared:
    """The root of an input schema, and that schema."""

    root: Place
    schema: dict[str, Any] = field(compare=False)


wrappers = st.sampled_from(["", "", "$ref", "allOf", "anyOf", "oneOf"])


def _leaves() -> st.SearchStrategy[Place]:
    values = st.lists(scalars, max_size=3, unique_by=repr).map(tuple)
    return st.builds(Place, values=values, wrapper=wrappers) | st.builds(Place, is_boolean=st.just(True))


def _properties(inner: st.SearchStrategy[Place]) -> st.SearchStrategy[tuple[tuple[str, Place], ...]]:
    return st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(lambda found: tuple(found.items()))


places = st.recursive(
    _leaves(),
    lambda inner: (
        st.builds(Place, properties=_properties(inner), wrapper=wrappers)
        | st.builds(Place, items=inner, wrapper=wrappers)
        | st.builds(Place, others=inner, properties=_properties(inner), wrapper=wrappers)
    ),
    max_leaves=5,
)

roots = st.builds(Place, properties=_properties(places), others=st.none() | places)


def declared(root: Place) -> Declared:
    """Return the input schema of a tool with these arguments."""
    definitions: dict[str, Any] = {}
    schema = root.schema(definitions)
    return Declared(root, {"type": "object", **schema, "$defs": definitions})


def path_of(steps: Steps) -> str:
    """Return the path that coverage reports for a place."""
    return format_path(None if isinstance(step, Others) else step for step in steps)


def places_in(place: Place, steps: Steps = ()) -> Iterator[tuple[Steps, Place]]:
    """Yield the path and the place of each argument that is nested in a place."""
    for name, inner in place.properties:
        yield (*steps, name), inner
        yield from places_in(inner, (*steps, name))
    step = Others(frozenset(name for name, _ in place.properties)) if place.others else None
    if member := place.items or place.others:
        if member.listed:
            yield (*steps, step), member
        yield from places_in(member, (*steps, step))


def values_at(value: Any, steps: Steps) -> list[Any]:
    """Return the values that an input has at a path."""
    found = [value]
    for step in steps:
        if step is None:
            found = [item for one in found if isinstance(one, list) for item in one]
        elif isinstance(step, Others):
            objects = [one for one in found if isinstance(one, dict)]
            found = [item for one in objects for name, item in one.items() if name not in step.names]
        else:
            found = [one[step] for one in found if isinstance(one, dict) and step in one]
    return found


def _values_of(place: Place) -> st.SearchStrategy[Any]:
    """Return a strategy for values that often have what the place declares."""
    options = [JSON, scalars]
    if place.listed:
        options += [st.sampled_from(place.listed)] * 2
    if place.properties:
        options += [st.fixed_dictionaries({}, optional={name: _values_of(one) for name, one in place.properties})] * 3
    if place.others:
        options += [st.dictionaries(st.sampled_from((*NAMES, "other")), _values_of(place.others), max_size=3)] * 3
    if place.items:
        options += [st.lists(_values_of(place.items), max_size=3)] * 3
    return st.one_of(options)


def inputs_of(root: Place) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for inputs with some of the arguments, and with others that are not declared."""
    known = {name: _values_of(place) for name, place in root.properties}
    undeclared = _values_of(root.others) if root.others else scalars
    return st.fixed_dictionaries({}, optional={"undeclared": undeclared, **known})


@dataclass(frozen=True)
class SimpleRun:
    """The server of a run, and its calls, each with whether it was sent."""

    server: ServerRecord
    calls: tuple[tuple[CallOutcome, bool], ...]

    @property
    def listed(self) -> set[str]:
        server = self.server
        return {tool["name"] for tool in (*server.tools, *server.later_tools)} | {one.item for one in server.malformed}


def _server(first: list[str], later: list[str], malformed: list[str]) -> ServerRecord:
    return ServerRecord(
        protocol="2026-07-28",
        tools=[_tool(name) for name in first],
        later_tools=[_tool(name) for name in later],
        malformed=[Malformed(item=name, rule="malformed", message="is left out: it is null") for name in malformed],
    )


def _tool(name: str) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", "properties": {"a": {}}}}


some_tools = st.lists(st.sampled_from(TOOLS), max_size=3, unique=True)

outcomes = st.builds(
    CallOutcome,
    tool=st.sampled_from([*TOOLS, "unknown"]),
    input=st.dictionaries(st.sampled_from(NAMES), scalars, max_size=2),
    is_error=st.booleans(),
)

runs = st.builds(
    SimpleRun,
    server=st.builds(_server, some_tools, some_tools, some_tools),
    calls=st.lists(st.tuples(outcomes, st.sampled_from([True, True, True, False])), max_size=8).map(tuple),
)
"""Runs of servers that list some of the `TOOLS`, in different sessions or in a malformed form."""
