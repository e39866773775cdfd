"""The arguments of a tool are found in its input schema, and those that calls pass are marked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_value import JsonObject, json_equal
from mcprun.analysis.coverage.arguments import MAX_ARGUMENTS, MAX_VALUES, Arguments
from mcprun.analysis.coverage.coverage import ArgumentCoverage
from tests.support.covered_runs import Place, declared, inputs_of, path_of, places_in, roots, values_at
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
    assert [one.path for one in found] == [path_of(steps) for steps, _ in places]
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


def test_nested_value_of_a_recursive_schema_counts_for_its_first_place() -> None:
    """A filter within a filter exercises the same arguments: they are listed once, and no value of them is lost."""
    filters = {"properties": {"op": {"enum": ["eq", "lt"]}, "all": {"type": "array", "items": {"$ref": "#/$defs/f"}}}}
    schema = {"properties": {"filter": {"$ref": "#/$defs/f"}}, "$defs": {"f": filters}}
    found = coverage_of(schema, {"filter": {"all": [{"all": [{"op": "lt"}]}, {"op": "eq"}]}})
    assert [(one.path, one.seen) for one in found] == [
        ("filter", ()),
        ("filter.op", ("eq", "lt")),
        ("filter.all", ()),
    ]


def test_long_chains_of_subschemas_are_read_without_recursion() -> None:
    """Thousands of references or branches in each other neither fail nor take long."""
    chain = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(5_000)}
    assert [one.path for one in coverage_of({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": chain})] == ["a"]
    nested: Any = {"enum": [1]}
    for _ in range(5_000):
        nested = {"allOf": [nested]}
    (found,) = coverage_of({"properties": {"a": nested}}, {"a": 1})
    assert found.seen == (1,)


def test_values_of_a_map_have_arguments() -> None:
    """`additionalProperties` and `patternProperties` describe the values of properties that are not declared."""
    inner = {"properties": {"level": {"enum": ["low", "high"]}}}
    schema = {
        "properties": {
            "by_user": {"additionalProperties": inner, "properties": {"level": {}}},
            "labels": {"patternProperties": {"^x-": {"type": "boolean"}}},
            "names": {"type": "array", "items": {"enum": ["a"]}},
        }
    }
    found = coverage_of(
        schema, {"by_user": {"ann": {"level": "low"}}, "labels": {"x-a": True}, "names": {"not an array": "a"}}
    )
    assert [(one.path, one.exercised, one.seen) for one in found] == [
        ("by_user", True, ()),
        ("by_user.level", False, ()),
        ("by_user[*].level", True, ("low",)),
        ("labels", True, ()),
        ("labels[*]", True, (True,)),
        ("names", True, ()),
        ("names[*]", False, ()),
    ]


@pytest.mark.parametrize(
    ("reference", "definition"),
    [
        ({"$ref": "#state"}, {"$anchor": "state"}),
        ({"$dynamicRef": "#state"}, {"$dynamicAnchor": "state"}),
        ({"$ref": "state.json"}, {"$id": "state.json"}),
        ({"$ref": "#/$defs/state"}, {}),
    ],
)
def test_references_are_followed_in_each_form(reference: JsonObject, definition: JsonObject) -> None:
    """Pointers, anchors and identifiers all lead to the listed values."""
    schema = {"properties": {"a": reference}, "$defs": {"state": {"enum": ["open"], **definition}}}
    assert [one.unseen for one in coverage_of(schema)] == [("open",)]


def test_older_drafts_are_read() -> None:
    """Draft 7 has a list of schemas in `items`, and schemas in `dependencies`."""
    schema = {
        "properties": {"pair": {"items": [{"enum": ["x"]}, {"properties": {"z": {}}}]}},
        "dependencies": {"pair": {"properties": {"other": {}}}, "other": ["pair"]},
    }
    assert [one.path for one in coverage_of(schema)] == ["pair", "pair[*]", "pair[*].z", "other"]


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
    branches = {"anyOf": [{"enum": [*range(MAX_VALUES + 1)]}, {"enum": ["x"]}]}
    assert coverage_of({"properties": {"a": branches}}) == [ArgumentCoverage("a", exercised=False)]
    bomb = {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 9} for n in range(30)}, "$ref": "#/$defs/d0"}
    assert coverage_of(bomb) == []
