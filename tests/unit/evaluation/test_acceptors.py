"""An acceptor accepts only valid values, and all valid values of the schemas that servers usually send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.evaluation.acceptors import compile_acceptor
from mcprun.evaluation.json_schema import SchemaValidator
from mcprun.evaluation.patterns import SEARCHES
from tests.support.schema_strategies import NAMES, kinds, schemas, values

SUPPORTED: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.builds(dict) | st.builds(lambda kind: {"type": kind}, kinds),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "$schema": st.just("http://json-schema.org/draft-07/schema#"),
            "title": st.just("t"),
            "type": kinds | st.lists(kinds, min_size=1, max_size=2, unique=True),
            "properties": st.dictionaries(st.sampled_from(NAMES), inner, max_size=2),
            "required": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            "additionalProperties": inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=5,
)


def is_valid(schema: Any, value: Any) -> bool:
    """Validate a value with `jsonschema`."""
    return SchemaValidator(schema, SEARCHES["ecma"]).outcome(value).problem is None


@given(schemas, values)
def test_accepted_values_are_valid(schema: Any, value: Any) -> None:
    """With any keywords, a value that is not valid is never accepted."""
    assert not compile_acceptor(schema)(value) or is_valid(schema, value)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ({"minimum": 2}, 1), ({"exclusiveMaximum": 1}, 1), ({"multipleOf": 2}, 1), ({"maxLength": 0}, "x"),
        ({"pattern": "y"}, "x"), ({"minItems": 1}, []), ({"uniqueItems": True}, [1, 1]), ({"maxProperties": 0}, {"a": 1}),
        ({"enum": [2]}, 1), ({"const": 2}, 1), ({"not": {}}, 1), ({"allOf": [False]}, 1), ({"oneOf": [{}, {}]}, 1),
        ({"if": {}, "then": False}, 1), ({"$ref": "#/$defs/a", "$defs": {"a": False}}, 1), ({"contains": {}}, []),
        ({"prefixItems": [False]}, [1]), ({"patternProperties": {"a": False}}, {"a": 1}),
        ({"propertyNames": False}, {"a": 1}), ({"dependentRequired": {"a": ["b"]}}, {"a": 1}),
        ({"unevaluatedProperties": False}, {"a": 1}), ({"unevaluatedItems": False}, [1]),
        ({"required": ["b"]}, {"a": 1}), ({"properties": {"a": {"type": "string"}}}, {"a": 1}), ({"items": False}, [1]),
        ({"additionalProperties": False, "properties": {"b": {}}}, {"a": 1}), ({"anyOf": [{"type": "string"}]}, 1),
    ],
)  # fmt: skip
def test_no_keyword_is_overlooked(keyword: dict[str, Any], value: Any) -> None:
    """Each of the keywords makes a value invalid that is of the right type."""
    assert not is_valid(keyword, value)
    assert not compile_acceptor({"type": ["integer", "string", "array", "object"], **keyword})(value)


@given(SUPPORTED, values)
def test_values_of_supported_schemas_are_accepted_if_and_only_if_they_are_valid(schema: Any, value: Any) -> None:
    """The exception are floats such as 1.0, which are integers in JSON Schema; none is drawn here."""
    assert compile_acceptor(schema)(value) == is_valid(schema, value)


@pytest.mark.parametrize("value", [True, 1.0, None, "1"])
def test_only_an_int_is_certainly_an_integer(value: Any) -> None:
    """A boolean is no number, and a whole float is left to the validation."""
    assert compile_acceptor({"type": "integer"})(1)
    assert not compile_acceptor({"type": "integer"})(value)


def test_a_part_that_is_not_supported_leaves_all_values_to_the_validation() -> None:
    """Otherwise a note about that part would be lost."""
    unsupported = {"anyOf": [{"$ref": "#/nowhere"}, {"type": "string"}]}
    assert not compile_acceptor(unsupported)("x")
