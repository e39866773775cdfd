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


def problem(schema: Any, value: Any, dialect: Dialect = "ecma") -> str | None:
    """Validate a value in this process."""
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
def test_multiples_are_exact(number: float, factor: float, fits: bool) -> None:
    """Decimals count as they are written; no number is too large."""
    assert fits == (problem({"multipleOf": factor}, number) is None)


@given(st.integers(-(10**30), 10**30), st.integers(0, 6), st.integers(1, 10**6))
def test_multiples_are_those_of_arithmetic(number: int, places: int, factor: int) -> None:
    """A whole number of hundredths is a multiple of a hundredth, and so for each power of ten."""
    step = float(f"1e-{places}")
    assert problem({"multipleOf": step}, number) is None
    assert (problem({"multipleOf": factor}, number) is None) == (number % factor == 0)


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
def test_schemas_that_stand_alone_are_taken(schema: Any) -> None:
    """References within the document may be written in any way, and the metaschemas are part of the program."""
    check_users_schema(schema)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (r"^\p{L}+$", "äß", True), (r"^\p{L}+$", "a1", False), (r"^(?<year>\d{4})$", "2026", True), (r"^\d+$", "٣", False),
        (r"^a\-b$", "a-b", True), (r"^[^]$", "\n", True), (r"^\u{1F600}$", "😀", True), (r"^.$", "\ud800", True),
        (r"^a$", "a\n", False),
    ],
)  # fmt: skip
def test_patterns_of_servers_are_those_of_ecma_262(pattern: str, text: str, fits: bool) -> None:
    """So are the keys of `patternProperties`; the metaschema does not judge them by Python's own dialect."""
    check_schema({"pattern": pattern, "format": "regex"})
    assert fits == (problem({"pattern": pattern}, text) is None)
    assert fits == (problem({"patternProperties": {pattern: False}}, {text: 1}) is not None)
    closed = {"patternProperties": {pattern: True}, "additionalProperties": False}
    assert fits == (problem(closed, {text: 1}) is None)
    assert fits == (problem({"patternProperties": {pattern: True}, "unevaluatedProperties": False}, {text: 1}) is None)


@pytest.mark.parametrize("pattern", [r"\Aabc\Z", "(?i)abc", "(", r"\p{Nope}"])
def test_patterns_that_cant_be_read_are_skipped_and_named(pattern: str) -> None:
    """They are nobody's failure: the rest of the schema is checked."""
    validator = SchemaValidator({"pattern": pattern, "maxLength": 3}, SEARCHES["ecma"])
    assert validator.outcome("xyz").problem is None
    assert validator.outcome("xyz").unread == (f"the pattern {pattern!r} can't be parsed and is not checked",)
    assert str(validator.outcome("wxyz").problem) == "at $: 'wxyz' is too long"
    closed = SchemaValidator({"patternProperties": {pattern: True}, "additionalProperties": False}, SEARCHES["ecma"])
    assert closed.outcome({"a": 1}).problem is None


def test_a_part_of_another_dialect_has_the_same_patterns() -> None:
    """A `$schema` within a schema does not bring back keywords that read patterns as Python does."""
    draft_7 = {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": r"^\p{L}+$"}
    assert problem({"items": draft_7}, ["ä"]) is None
    assert problem({"items": draft_7}, ["1"]) is not None


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
def test_keywords_mean_what_they_mean_elsewhere(schema: Any, value: Any, fits: bool) -> None:
    """Those that are done otherwise here allow the same values."""
    assert fits == (problem(schema, value) is None)
    assert fits == Draft202012Validator(schema).is_valid(value)


def test_work_is_bounded_before_it_is_done() -> None:
    """A schema is validated in this process only if its work is known to be little."""
    doubling = {f"n{n}": {"allOf": [{"$ref": f"#/$defs/n{n + 1}"}] * 2} for n in range(30)} | {"n30": {}}
    assert bound_work(INNER) < 20
    assert bound_work({"$ref": "#/$defs/n0", "$defs": doubling}) > 2**30
    for unbound in ({"items": {"$ref": "#"}}, {"pattern": "a"}, {"unevaluatedItems": False}, {"$ref": "http://x/"}):
        assert bound_work(unbound) == float("inf")
    assert bound_work({"properties": {"pattern": {"type": "string"}}}) < 20


def test_what_is_not_a_schema_is_told_with_its_place() -> None:
    """Messages are bounded, whatever stands in the schema."""
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
def test_a_violation_is_described_without_the_value_and_the_schema(schema: Any, value: Any, expected: str) -> None:
    """The reason and the path stay short, whatever a server sends."""
    check_schema(schema)
    assert str(SchemaValidator(schema, SEARCHES["ecma"]).outcome(value).problem) == expected


def test_a_long_path_keeps_its_ends() -> None:
    """The steps in between are left out."""
    schema: Any = {"type": "string"}
    value: Any = 1
    for number in range(50):
        schema, value = {"properties": {f"key{number}": schema}}, {f"key{number}": value}
    outcome = SchemaValidator(schema, SEARCHES["ecma"]).outcome(value)
    assert str(outcome.problem) == "at $.key49.key48 … .key1.key0: 1 is not of type 'string'"


def test_an_invalid_schema_is_described_without_itself() -> None:
    """A message about a schema that is not valid stays short as well."""
    with pytest.raises(InvalidSchemaError) as caught:
        check_schema({"properties": {"k" * 9999: {"type": ["x" * 9999]}}})
    assert len(str(caught.value)) < 400
