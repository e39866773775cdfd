"""JSON Schema: exact numbers, no remote references, ECMA-262 patterns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mcprun.evaluation.json_schema import (
    InvalidSchemaError,
    SchemaValidator,
    bound_work,
    check_schema,
    check_users_schema,
)
from mcprun.evaluation.patterns import SEARCHES, Dialect

INNER = {"$ref": "#/$defs/text", "$defs": {"text": {"type": "string"}}}


def validate(schema: Any, value: Any, dialect: Dialect = "ecma") -> str | None:
    """Validate a value in this process, and return the message of the violation, if any."""
    outcome = SchemaValidator(schema, SEARCHES[dialect]).outcome(value)
    assert outcome.notes == ()
    return outcome.problem.message if outcome.problem else None


@pytest.mark.parametrize(
    ("number", "factor", "fits"),
    [
        (19.99, 0.01, True), (19.999, 0.01, False), (0.3, 0.1, True), (1e308, 0.5, True), (10**401, 0.01, True),
        (10**401 + 1, 7, False), (1, 1e-300, True), (1e-7, 1e-8, True), (float("inf"), 2, False), (float("nan"), 1, False),
        (True, 2, True), (0, 0.1, True), (-4.5, 1.5, True), (5e-324, 5e-324, True),
    ],
)  # fmt: skip
def test_multiple_of_is_exact(number: float, factor: float, fits: bool) -> None:
    """`multipleOf` uses decimal arithmetic on the numbers as written, of any size."""
    assert fits == (validate({"multipleOf": factor}, number) is None)


@given(st.integers(-(10**30), 10**30), st.integers(0, 6), st.integers(1, 10**6))
def test_multiple_of_agrees_with_integer_arithmetic(number: int, decimals: int, factor: int) -> None:
    """An integer is a multiple of each negative power of ten, and of an integer factor if the remainder is 0."""
    step = float(f"1e-{decimals}")
    assert validate({"multipleOf": step}, number) is None
    assert (validate({"multipleOf": factor}, number) is None) == (number % factor == 0)


@pytest.mark.parametrize(
    "schema",
    [
        INNER,
        {"$id": "http://127.0.0.1:9/x", **INNER},
        {"$id": "http://127.0.0.1:9/x", "$ref": "x#/$defs/a", "$defs": {"a": {}}},
        {"$dynamicRef": "#node", "$defs": {"node": {"$dynamicAnchor": "node"}}},
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"properties": {"$ref": {"type": "string"}}, "enum": [{"$ref": "http://127.0.0.1:9/x"}]},
    ],
)
def test_self_contained_schemas_are_accepted(schema: Any) -> None:
    """References within the document, in any form, and references to the metaschemas are accepted."""
    check_users_schema(schema)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"^\p{L}+$", "äß", True), (r"^\p{L}+$", "a1", False), (r"^(?<year>\d{4})$", "2026", True), (r"^\d+$", "٣", False),
        (r"^a\-b$", "a-b", True), (r"^[^]$", "\n", True), (r"^\u{1F600}$", "😀", True), (r"^.$", "\ud800", True),
        (r"^a$", "a\n", False),
    ],
)  # fmt: skip
def test_server_patterns_use_the_ecma_262_dialect(pattern: str, text: str, fits: bool) -> None:
    """Patterns, `patternProperties` included, use the ECMA-262 dialect.

    The metaschema does not check them as Python patterns.
    """
    check_schema({"pattern": pattern, "format": "regex"})
    assert fits == (validate({"pattern": pattern}, text) is None)
    assert fits == (validate({"patternProperties": {pattern: False}}, {text: 1}) is not None)
    closed = {"patternProperties": {pattern: True}, "additionalProperties": False}
    assert fits == (validate(closed, {text: 1}) is None)
    assert fits == (validate({"patternProperties": {pattern: True}, "unevaluatedProperties": False}, {text: 1}) is None)


@pytest.mark.parametrize("pattern", [r"\Aabc\Z", "(?i)abc", "(", r"\p{Nope}"])
def test_patterns_that_cannot_be_parsed_are_skipped_and_reported(pattern: str) -> None:
    """A pattern that cannot be parsed is reported and never fails. The rest of the schema is checked."""
    validator = SchemaValidator({"pattern": pattern, "maxLength": 3}, SEARCHES["ecma"])
    assert validator.outcome("xyz").problem is None
    assert validator.outcome("xyz").unread == (f"the pattern '{pattern}' can't be parsed and is not checked",)
    assert str(validator.outcome("wxyz").problem) == "at $: 'wxyz' is too long"
    closed = SchemaValidator({"patternProperties": {pattern: True}, "additionalProperties": False}, SEARCHES["ecma"])
    assert closed.outcome({"a": 1}).problem is None


def test_subschemas_with_their_own_dialect_use_the_same_patterns() -> None:
    """A `$schema` in a subschema does not switch its patterns to Python's dialect."""
    draft_7 = {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": r"^\p{L}+$"}
    assert validate({"items": draft_7}, ["ä"]) is None
    assert validate({"items": draft_7}, ["1"]) is not None


@pytest.mark.parametrize(
    ("schema", "value", "fits"),
    [
        ({"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}, {"a": 1}, True),
        ({"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}, {"b": 1}, False),
        ({"anyOf": [{"required": ["b"]}, {"properties": {"a": True}}], "unevaluatedProperties": False}, {"a": 1}, True),
        ({"if": {"required": ["a"]}, "then": {"properties": {"a": True}}, "unevaluatedProperties": False}, {"a": 1}, True),
        ({"if": {"required": ["a"]}, "else": {"properties": {"a": True}}, "unevaluatedProperties": False}, {"a": 1}, False),
        ({"dependentSchemas": {"a": {"properties": {"a": True}}}, "unevaluatedProperties": False}, {"a": 1}, True),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": True}}}, "unevaluatedProperties": False}, {"a": 1}, True),
        ({"additionalProperties": True, "unevaluatedProperties": False}, {"a": 1}, True),
        ({"unevaluatedProperties": {"type": "integer"}}, {"a": "x"}, False),
        ({"uniqueItems": True}, [1, 1.0], False),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}, {"a": True}, None], True),
        ({"uniqueItems": True}, [{"a": [1, 2]}, {"a": [1, 2]}], False),
        ({"additionalProperties": {"type": "integer"}}, {"a": "x"}, False),
    ],
)  # fmt: skip
def test_reimplemented_keywords_agree_with_jsonschema(schema: Any, value: Any, fits: bool) -> None:
    """Keywords that mcprun implements itself accept the same values as those of `jsonschema`."""
    assert fits == (validate(schema, value) is None)
    assert fits == Draft202012Validator(schema).is_valid(value)


def test_the_work_of_a_validation_is_bounded_in_advance() -> None:
    """`bound_work` is small for simple schemas, and large or infinite for those that must not run in this process."""
    doubling = {f"n{n}": {"allOf": [{"$ref": f"#/$defs/n{n + 1}"}] * 2} for n in range(30)} | {"n30": {}}
    assert bound_work(INNER) < 20
    assert bound_work({"$ref": "#/$defs/n0", "$defs": doubling}) > 2**30
    for unbounded in ({"items": {"$ref": "#"}}, {"pattern": "a"}, {"unevaluatedItems": False}, {"$ref": "http://x/"}):
        assert bound_work(unbounded) == float("inf")
    assert bound_work({"properties": {"pattern": {"type": "string"}}}) < 20


def test_an_invalid_schema_is_reported_with_its_path() -> None:
    """The message of an invalid schema has its path and a bounded length."""
    with pytest.raises(InvalidSchemaError, match=r"^at \$\.type: ") as raised:
        check_schema({"type": "x" * 10_000})
    assert (raised.value.path, len(str(raised.value)) < 2000) == ("$.type", True)


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"required": ["total"]}, {"rows": 1}, "at $: 'total' is a required property"),
        ({"type": "array"}, {"a": [*range(9999)]}, "at $: an object of 1 key does not match 'type': \"array\""),
        ({"type": "string"}, [*range(9999)], "at $: a list of 9,999 items does not match 'type': \"string\""),
        ({"maxLength": 3}, "x" * 9999, "at $: a string of 9,999 characters does not match 'maxLength': 3"),
        ({"enum": ["x" * 99] * 99}, "y", "at $: a string of 1 character does not match 'enum': a list of 99 items"),
        ({"maximum": 1}, 10**4000, "at $: a number does not match 'maximum': 1"),
        ({"const": {"k": "x" * 999}}, None, "at $: null does not match 'const': an object of 1 key"),
        (
            {"properties": {"k" * 9999: {"type": "string"}}},
            {"k" * 9999: 1},
            "at $.(a key of 9,999 characters): 1 is not of type 'string'",
        ),
    ],
)
def test_a_violation_is_described_without_large_values_and_schemas(schema: Any, value: Any, expected: str) -> None:
    """The reason and the path of a violation are short, whatever a server sends."""
    check_schema(schema)
    assert str(SchemaValidator(schema, SEARCHES["ecma"]).outcome(value).problem) == expected


def test_a_long_path_is_shortened_in_the_middle() -> None:
    """A long path keeps its first and last steps."""
    schema: Any = {"type": "string"}
    value: Any = 1
    for number in range(50):
        schema, value = {"properties": {f"key{number}": schema}}, {f"key{number}": value}
    outcome = SchemaValidator(schema, SEARCHES["ecma"]).outcome(value)
    assert str(outcome.problem) == "at $.key49.key48 … .key1.key0: 1 is not of type 'string'"


def test_an_invalid_schema_is_described_without_its_content() -> None:
    """The message of an invalid schema is short, however long its keys and values are."""
    with pytest.raises(InvalidSchemaError) as caught:
        check_schema({"properties": {"k" * 9999: {"type": ["x" * 9999]}}})
    assert len(str(caught.value)) < 400
