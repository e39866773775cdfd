"""Hypothesis strategies for JSON Schemas and values that fit them."""

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
    st.just({}),
    st.builds(lambda kind: {"type": kind}, kinds),
    st.builds(lambda some, more: {"type": some, **more}, st.lists(kinds, min_size=1, max_size=3, unique=True), bounds),
    st.builds(lambda some: {"enum": some}, st.lists(values, min_size=1, max_size=3)),
    st.builds(lambda one: {"const": one}, values),
    st.sampled_from([{"$ref": "#/$defs/one"}, {"$ref": "#/$defs/two"}, {"$ref": "#/$defs/one", "minimum": 1}]),
    st.sampled_from([{"$ref": "#Two"}, {"$ref": "#Nowhere"}, {"$ref": "#Two", "maximum": 1}]),
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Make schemas of objects."""
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
    """Make schemas that hold others."""
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
def made(draw: st.DrawFn) -> Any:
    """Make a schema."""
    return draw(st.recursive(leaves, nested, max_leaves=6))


schemas = made()


def rooted(schema: Any, one: Any, two: Any) -> dict[str, Any]:
    """Make a whole schema, with definitions, the second of which has an anchor."""
    root = dict(schema) if isinstance(schema, dict) else {"allOf": [schema]}
    two = {"$anchor": "Two", **two} if isinstance(two, dict) else {"$anchor": "Two", "allOf": [two]}
    return {**root, "$defs": {"one": one, "two": two}}


@st.composite
def whole(draw: st.DrawFn) -> dict[str, Any]:
    """Make a whole schema."""
    return rooted(draw(schemas), draw(leaves), draw(nested(leaves)))


wholes = whole()


def of(**properties: Any) -> dict[str, Any]:
    """Make the schema of an object."""
    return {"type": "object", "properties": properties}
