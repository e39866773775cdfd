"""The arguments of a tool are found in its input schema, and those that calls pass are marked."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_path import format_path
from mcprun._util.json_value import json_equal
from mcprun.analysis.coverage.arguments import MAX_ARGUMENTS, MAX_VALUES, Arguments
from mcprun.analysis.coverage.coverage import ArgumentCoverage
from tests.support.covered_runs import Place, declared, inputs_of, places_in, roots, values_at
from tests.support.json_strategies import JSON
from tests.support.schema_strategies import wholes


def coverage_of(schema: Any, *inputs: Any) -> list[ArgumentCoverage]:
    arguments = Arguments()
    arguments.add_schema(schema)
    for one in inputs:
        arguments.mark(one)
    return [*arguments.coverage()]


def seen_values(listed: tuple[Any, ...], passed: list[Any]) -> tuple[Any, ...]:
    return tuple(one for one in listed if any(json_equal(one, value) for value in passed))


@given(st.data())
def test_arguments_and_values_are_those_of_the_schema_and_the_calls(data: st.DataObject) -> None:
    """Each declared argument is found, and is exercised, with the listed values, exactly if a call passed it."""
    root: Place = data.draw(roots)
    inputs = data.draw(st.lists(inputs_of(root), max_size=3))
    found = coverage_of(declared(root).schema, *inputs)
    places = [*places_in(root)]
    assert [one.path for one in found] == [format_path(steps) for steps, _ in places]
    for one, (steps, place) in zip(found, places, strict=True):
        passed = [value for given_input in inputs for value in values_at(given_input, steps)]
        distinct = tuple(
            value
            for number, value in enumerate(place.listed)
            if not any(json_equal(value, other) for other in place.listed[:number])
        )
        seen = seen_values(distinct, passed)
        assert one.exercised == bool(passed)
        assert (one.seen, one.unseen) == (seen, tuple(value for value in distinct if value not in map(_Same, seen)))
        assert one.kind == ("boolean" if place.is_boolean else "enum" if place.listed else None)


class _Same:
    """Equals a value only if both are equal JSON."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return json_equal(self._value, other)

    __hash__ = None  # type: ignore[assignment]


@given(JSON | wholes, st.lists(JSON, max_size=3))
def test_any_schema_and_any_input_are_read(schema: Any, inputs: list[Any]) -> None:
    """Whatever a server lists and a model passes, the arguments have distinct paths."""
    paths = [one.path for one in coverage_of(schema, *inputs)]
    assert len(paths) == len(set(paths))


@given(roots, roots, st.randoms(use_true_random=False))
def test_schemas_of_one_tool_add_up(first: Place, second: Place, random: Any) -> None:
    """The arguments of two schemas are those of either, in any order."""
    schemas = [declared(root).schema for root in (first, second)]
    random.shuffle(schemas)
    both = Arguments()
    for schema in schemas:
        both.add_schema(schema)
    single = {one.path for root in (first, second) for one in coverage_of(declared(root).schema)}
    assert {one.path for one in both.coverage()} == single


def test_recursive_schema_ends() -> None:
    """A schema that refers to itself is followed once on each way."""
    node = {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#"}}}
    assert [one.path for one in coverage_of(node)] == ["name", "child", "child.name", "child.child"]


def test_branches_of_a_schema_are_merged() -> None:
    """Each `const` of a tagged union is a value of its argument, and each branch adds its own arguments."""
    schema = {
        "oneOf": [
            {"properties": {"kind": {"const": "user"}, "name": {}}},
            {"properties": {"kind": {"const": "group"}, "members": {}}},
        ]
    }
    found = coverage_of(schema, {"kind": "group", "members": []})
    assert [(one.path, one.exercised, one.seen, one.unseen) for one in found] == [
        ("kind", True, ("group",), ("user",)),
        ("name", False, (), ()),
        ("members", True, (), ()),
    ]


def test_nullable_boolean_has_two_values() -> None:
    """`null` beside `boolean` is not a value to exercise, and 1 is not `true`."""
    schema = {"properties": {"open": {"type": ["boolean", "null"]}}}
    (found,) = coverage_of(schema, {"open": None}, {"open": 1})
    assert (found.exercised, found.seen, found.unseen) == (True, (), (True, False))


def test_forbidden_property_is_no_argument() -> None:
    """A property with the schema `false` can't be passed."""
    assert coverage_of({"properties": {"gone": False, "kept": True}}) == [ArgumentCoverage("kept", exercised=False)]


def test_size_of_a_schema_is_bounded() -> None:
    """Thousands of properties or values, and schemas that multiply, are cut off."""
    many: dict[str, Any] = {"properties": {f"p{number}": {} for number in range(3 * MAX_ARGUMENTS)}}
    assert len(coverage_of(many)) == MAX_ARGUMENTS
    (listed,) = coverage_of({"properties": {"a": {"enum": [*range(MAX_VALUES + 1)]}}})
    assert listed == ArgumentCoverage("a", exercised=False)
    bomb = {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 9} for n in range(30)}, "$ref": "#/$defs/d0"}
    assert coverage_of(bomb) == []
