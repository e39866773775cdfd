"""Hypothesis strategies for JSON Schemas, with references and anchors, and for small JSON values.

The tests of schema comparison, generated values, `mcprun init` and tool lists use them.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = "ab"

values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 4) | st.sampled_from([0.5, "", "x", "xyz"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
    max_leaves=4,
)

bounds = st.fixed_dictionaries(
    {},
    optional={
        "minimum": st.integers(-1, 2),
        "exclusiveMinimum": st.integers(-1, 2),
        "maximum": st.integers(0, 3),
        "multipleOf": st.sampled_from([1, 2]),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 3),
        "pattern": st.sampled_from(["^x", "z$"]),
        "format": st.just("date"),
        "minItems": st.integers(0, 1),
        "uniqueItems": st.booleans(),
        "maxProperties": st.integers(0, 2),
        "description": st.sampled_from(["one", "two"]),
    },
)

kinds = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])

leaves: st.SearchStrategy[Any] = st.one_of(
    st.booleans(),
    st.builds(dict),
    st.builds(lambda kind: {"type": kind}, kinds),
    st.builds(lambda some, more: {"type": some, **more}, st.lists(kinds, min_size=1, max_size=3, unique=True), bounds),
    st.builds(lambda some: {"enum": some}, st.lists(values, min_size=1, max_size=3)),
    st.builds(lambda one: {"const": one}, values),
    st.sampled_from(["#/$defs/one", "#/$defs/two", "#Two", "#Nowhere"]).map(lambda where: {"$ref": where}),
    st.builds(lambda: {"$ref": "#/$defs/one", "minimum": 1}),
    st.builds(lambda: {"$ref": "#Two", "maximum": 1}),
)
"""Schemas without schemas within them. Each is a new object, because tests edit what they draw."""


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for schemas of objects whose properties have schemas from `inner`."""
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.just("object"),
            "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
            "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.just("^a"), inner, max_size=1),
            "unevaluatedProperties": st.booleans(),
            "maxProperties": st.integers(0, 2),
        },
    )


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for schemas that contain schemas from `inner`."""
    several = st.lists(inner, min_size=1, max_size=3)
    combined = st.fixed_dictionaries({}, optional={"anyOf": several, "oneOf": several, "allOf": several, "not": inner})
    return st.one_of(
        objects(inner),
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda first, rest: {"prefixItems": first, "items": rest}, several, inner),
        combined,
        st.builds(lambda one, other: {**one, **other}, objects(inner), combined),
    )


@st.composite
def draw_schema(draw: st.DrawFn) -> Any:
    """Draw a schema, which may have references to undefined `$defs`."""
    return draw(st.recursive(leaves, nested, max_leaves=6))


schemas = draw_schema()


def rooted(schema: Any, one: Any, two: Any) -> dict[str, Any]:
    """Return a root schema with the definitions `one` and `two`; `two` has the anchor `Two`."""
    root = dict(schema) if isinstance(schema, dict) else {"allOf": [schema]}
    two = {"$anchor": "Two", **two} if isinstance(two, dict) else {"$anchor": "Two", "allOf": [two]}
    return {**root, "$defs": {"one": one, "two": two}}


@st.composite
def draw_root_schema(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a root schema with definitions."""
    return rooted(draw(schemas), draw(leaves), draw(nested(leaves)))


wholes = draw_root_schema()


def of(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties."""
    return {"type": "object", "properties": properties}
