"""Schema changes: which are compatible for senders, and which for readers."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from referencing.exceptions import Unresolvable

from mcprun.tools.json_schema.changes import compare_schemas
from mcprun.tools.json_schema.keywords import SchemaChange
from tests.support.examples import examples
from tests.support.schema_strategies import bounds, leaves, objects, of, rooted, schemas, values, wholes

HARMLESS_TO_SEND = {"added", "optional", "widened", "text"}


@st.composite
def draw_edited_schema(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draw a schema and a version of it with one or two edits."""
    before = draw(wholes)
    after = copy.deepcopy(before)
    for _ in range(draw(st.integers(1, 2))):
        places = list(_find_places(after))
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(["replace", "keyword", "drop"]))
        part = holder[key]
        if change == "replace" or not isinstance(part, dict):
            holder[key] = draw(schemas)
        elif change == "keyword":
            holder[key] = {**part, **draw(bounds)}
        elif part:
            del part[draw(st.sampled_from(sorted(part)))]
    return before, after


def _find_places(root: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Return the holder and the key of each schema within a schema."""
    found: list[tuple[Any, Any]] = []
    todo: list[Any] = [root]
    while todo:
        node = todo.pop()
        if not isinstance(node, dict):
            continue
        for key, value in node.items():
            if key in ("properties", "patternProperties", "$defs"):
                found += [(value, name) for name in value]
                todo += value.values()
            elif key in ("anyOf", "allOf", "oneOf", "prefixItems"):
                found += [(value, number) for number in range(len(value))]
                todo += value
            elif key in ("items", "additionalProperties", "not"):
                found.append((node, key))
                todo.append(value)
    return found


def is_valid(schema: Any, value: Any) -> bool | None:
    """Validate with `jsonschema`. Return None if references are circular or unresolvable."""
    try:
        return jsonschema.Draft202012Validator(schema).is_valid(value)
    except (RecursionError, Unresolvable):
        return None


pairs = draw_edited_schema() | st.tuples(wholes, wholes)


@given(pairs, st.lists(values, min_size=5, max_size=40))
@settings(max_examples=examples(400), deadline=None)
def test_compatible_change_rejects_no_valid_instance(pair: tuple[Any, Any], instances: list[Any]) -> None:
    """If no change breaks senders, the new schema accepts every instance of the old one."""
    before, after = pair
    found = compare_schemas(before, after)
    if any(change.kind not in HARMLESS_TO_SEND for change in found):
        return
    event(f"harmless, {'changed' if found else 'same'}")
    new = {change.at[-1] for change in found if change.kind == "added"}  # senders omit undeclared keys
    for instance in instances:
        if new.isdisjoint(find_keys(instance)) and is_valid(before, instance):
            event("held against an instance")
            assert is_valid(after, instance) is not False, (found, instance)


def find_keys(value: Any) -> set[str]:
    """Return the keys of all objects within a value."""
    if isinstance(value, dict):
        return set(value).union(*map(find_keys, value.values()))
    return set().union(*map(find_keys, value)) if isinstance(value, list) else set()


@given(wholes)
@settings(deadline=None)
def test_equal_schemas_have_no_change(schema: Any) -> None:
    """The order of keys and of `required` is ignored."""
    assert compare_schemas(schema, copy.deepcopy(schema)) == []
    assert compare_schemas(schema, reverse_keys(schema)) == []


def reverse_keys(schema: Any) -> Any:
    """Reverse the order of keys and of `required`, recursively."""
    if isinstance(schema, list):
        return [reverse_keys(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: one[::-1] if key == "required" else reverse_keys(one) for key, one in reversed(schema.items())}


OPPOSITE = {"narrowed": {"widened"}, "widened": {"narrowed"}, "changed": {"changed"}, "unclear": {"unclear"},
            "required": {"optional", "removed"}, "optional": {"required"}, "added": {"removed"},
            "removed": {"added", "required"}, "text": {"text"}}  # fmt: skip


@given(pairs)
@settings(deadline=None)
def test_reverse_comparison_has_the_opposite_changes(pair: tuple[Any, Any]) -> None:
    """The reverse comparison has the opposite of each change, unless a removal hides it."""
    forward, backward = compare_schemas(*pair), compare_schemas(*reversed(pair))
    for one, other in ((forward, backward), (backward, forward)):
        kinds = {change.kind for change in other}
        has_removal = "removed" in kinds
        for change in one:
            assert OPPOSITE[change.kind] & kinds or has_removal, change


@given(objects(leaves), schemas, st.data())
@settings(deadline=None)
def test_new_optional_property_is_only_added(schema: dict[str, Any], new: Any, data: st.DataObject) -> None:
    """A new optional property with any schema, at the top level or nested, is the only change."""
    root: dict[str, Any] = {
        "type": "object",
        **{key: schema[key] for key in ("properties", "required") if key in schema},
    }
    nested = of(a={**root, "properties": {"x": {}, **root.get("properties", {})}})
    before = data.draw(st.sampled_from([root, nested]))
    after = copy.deepcopy(before)
    inner = after if before is root else after["properties"]["a"]
    inner["properties"] = {**inner.get("properties", {}), "new": new}
    # An unresolvable reference adds an "unclear" change.
    forward, backward = (
        [change for change in compare_schemas(*pair) if change.kind != "unclear"]
        for pair in ((rooted(before, {}, {}), rooted(after, {}, {})), (rooted(after, {}, {}), rooted(before, {}, {})))
    )
    assert [(one.kind, one.keyword, one.after) for one in forward] == [("added", "properties", new)]
    assert [one.kind for one in backward] == ["removed"]


NULLABLE = {"anyOf": [{"type": "string"}, {"type": "null"}]}


@pytest.mark.parametrize(
    ("before", "after", "kind", "at", "keyword"),
    [
        ({"type": "integer"}, {"type": "number"}, "widened", ".a", "type"),
        ({"type": "integer"}, {"type": "string"}, "changed", ".a", "type"),
        ({"type": "string"}, NULLABLE, "widened", ".a", "anyOf"),
        ({"type": "string"}, {"type": ["string", "null"]}, "widened", ".a", "type"),
        ({"oneOf": NULLABLE["anyOf"]}, {"type": "string"}, "narrowed", ".a", "anyOf"),
        ({"const": "C"}, {"enum": ["C", "F"]}, "widened", ".a", "enum"),
        ({"type": "string"}, {"enum": ["C", "F"]}, "narrowed", ".a", "enum"),
        ({"enum": ["C", "F"]}, {"enum": ["F", "K"]}, "changed", ".a", "enum"),
        ({"minimum": 1}, {"minimum": 0}, "widened", ".a", "minimum"),
        ({"minimum": 1}, {"exclusiveMinimum": 1}, "narrowed", ".a", "minimum"),
        ({"maximum": 1}, {"maximum": 2}, "widened", ".a", "maximum"),
        ({"maxLength": 9}, {"maxLength": 5}, "narrowed", ".a", "maxLength"),
        ({"pattern": "^a"}, {"pattern": "^b"}, "unclear", ".a", "pattern"),
        ({"type": "string"}, {"type": "string", "format": "uri"}, "narrowed", ".a", "format"),
        ({"not": {"const": 1}}, {"not": {"const": 2}}, "unclear", ".a", "not"),
        ({"items": {"type": "string"}}, {"items": {"type": "null"}}, "changed", ".a[]", "type"),
        ({"prefixItems": [{"const": 1}]}, {"prefixItems": [True]}, "widened", ".a[0]", "schema"),
        ({"type": "object"}, of(x={"type": "string"}), "narrowed", ".a.x", "schema"),
        ({"additionalProperties": {"type": "null"}}, {"additionalProperties": False}, "narrowed", ".a.*", "schema"),
        (of(b={}), {**of(b={}), "required": ["b"]}, "required", ".a.b", "required"),
        (of(b={}), of(), "removed", ".a.b", "properties"),
        ({"x-order": 1}, {"x-order": 2}, "text", ".a", "x-order"),
        ({"type": "string"}, {"type": "string", "default": None}, "text", ".a", "default"),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}, {}]}, {"allOf": [{"maximum": 2}, {}]}, "widened", ".a", "allOf"),
        ({"allOf": [{"maximum": 2}, {}]}, {"allOf": [{"minimum": 1}, {"maximum": 2}, {}]}, "narrowed", ".a", "allOf"),
        ({"unevaluatedProperties": False, "anyOf": [of(b={}), {}]}, {"unevaluatedProperties": False, "anyOf": [{}, {}]}, "unclear", ".a", "unevaluatedProperties"),
        ({"oneOf": [{"type": "string"}, {"const": "x"}]}, {"oneOf": [{"type": "string"}]}, "unclear", ".a", "oneOf"),
        ({"$ref": "other.json"}, {"type": "string"}, "widened", ".a", "$ref"),
    ],
)  # fmt: skip
def test_change_has_kind_path_and_keyword(before: Any, after: Any, kind: str, at: str, keyword: str) -> None:
    """The kind says whether the schema accepts fewer, more or other values, or whether that is unclear."""
    lines = [
        (one.kind, one.at, one.keyword) for one in compare_schemas(of(a=before), of(a=after)) if one.kind != "added"
    ]
    assert (kind, at, keyword) in lines


@pytest.mark.parametrize(
    ("keyword", "before", "after"),
    [
        ("minLength", {"minLength": [1]}, {"minLength": 2}),
        ("minimum", {"minimum": 1, "exclusiveMinimum": True}, {"minimum": 1}),
        ("maximum", {"maximum": "9"}, {"maximum": "8"}),
    ],
)
def test_bound_that_is_not_a_number_is_unclear(keyword: str, before: Any, after: Any) -> None:
    """A reference may lead to a place that no metaschema validates."""
    old, new = ({**of(a={"$ref": "#/x"}), "x": node} for node in (before, after))
    assert ("unclear", ".a", keyword) in [(one.kind, one.at, one.keyword) for one in compare_schemas(old, new)]
    assert compare_schemas(old, old) == []


def test_change_of_a_definition_is_reported_once() -> None:
    """A definition may be referenced repeatedly, by itself, or inlined."""

    def tree(leaf: Any) -> dict[str, Any]:
        node = {"$ref": "#/$defs/a~1%62"}
        return {**of(left=node, right=node), "$defs": {"a/b": of(next=node, leaf=leaf)}}

    before, after = tree({"type": "string"}), tree({"type": "integer"})
    reported = SchemaChange("changed", ".left.leaf", "type", "string", "integer")
    assert compare_schemas(before, after) == [reported]
    written = {
        **of(left=of(next=True, leaf={"type": "string"}), right={"$ref": "#/$defs/a~1b"}),
        "$defs": before["$defs"],
    }
    assert [one.at for one in compare_schemas(written, before)] == [".left.next"]


NAMED = {"$anchor": "A", "type": "number"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"A": NAMED}, {"A": {**NAMED, "type": "integer"}}, [("narrowed", ".a", "type")]),
        ({"A": {"$dynamicAnchor": "A"}}, {"A": {"$dynamicAnchor": "A", "minimum": 1}}, [("narrowed", ".a", "schema")]),
        ({"A": NAMED}, {"B": of(b=NAMED)}, []),
        ({"A": NAMED}, {"A": {**NAMED, "$anchor": "B"}}, [("widened", ".a", "type"), ("narrowed", ".a", "$ref")]),
        ({"A": NAMED, "B": NAMED}, {"A": NAMED, "B": {"$anchor": "A"}}, [("unclear", ".a", "$ref")]),
        ({"A": {"$id": "x", "$defs": {"A": NAMED}}}, {"A": {"$id": "x", "$defs": {"A": {"$anchor": "A"}}}}, [("unclear", ".a", "$ref")]),
        ({"A": True}, {"A": False}, [("unclear", ".a", "$ref")]),
        ({"A": {"title": "x"}}, {"A": {"title": "y"}}, []),
    ],
)  # fmt: skip
def test_anchors_are_followed(before: Any, after: Any, expected: list[tuple[str, str, str]]) -> None:
    """Anchors are found anywhere. An unresolvable reference in schemas that differ is unclear."""
    one, other = ({**of(a={"$ref": "#A"}), "$defs": definitions} for definitions in (before, after))
    assert [(change.kind, change.at, change.keyword) for change in compare_schemas(one, other)] == expected


def test_definition_change_within_not_is_unclear() -> None:
    """`not` is compared as a whole, including the definitions that it references."""
    refused = of(a={"not": {"$ref": "#/$defs/x"}})
    before, after = ({**refused, "$defs": {"x": {"const": value}}} for value in (1, 2))
    assert [(one.kind, one.at, one.keyword) for one in compare_schemas(before, after)] == [("unclear", ".a", "not")]


def test_expansion_of_references_is_bounded() -> None:
    """Definitions that expand exponentially or in circles are compared in bounded time."""
    doubling = {f"d{n}": of(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(200)}
    before = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d200": {"type": "string"}}}
    after = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d200": {"type": "null"}}}
    assert {one.kind for one in compare_schemas(before, after)} == {"unclear"}
    circular = {"$ref": "#/$defs/x", "$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}]}}}
    for one, other in (
        (circular, {"type": "string"}),
        ({"type": "string"}, circular),
        (circular, {**circular, "minimum": 1}),
    ):
        assert {change.kind for change in compare_schemas(one, other)} - {"text"}


@pytest.mark.parametrize("invalid", [None, "string", {"type": "strnig"}, {"properties": 3}, {"items": [{}]}])
def test_invalid_schema_is_unclear(invalid: Any) -> None:
    """An invalid schema is one "unclear" change, or none if it is unchanged."""
    assert compare_schemas(invalid, {"type": "object"}) == [
        SchemaChange("unclear", "", "schema", invalid, {"type": "object"})
    ]
    assert compare_schemas(invalid, copy.deepcopy(invalid)) == []


@pytest.mark.parametrize(
    "keywords",
    [
        {"multipleOf": 2},
        {"enum": [1, [2]]},
        {"const": {"a": 1}},
        {"minimum": 1, "maxItems": 3},
        {"not": {"const": 1}},
        {"if": {"multipleOf": 2}, "then": {"minimum": 1}},
        {"anyOf": [{"type": "integer", "multipleOf": 2}, {"type": "string", "maxLength": 3}]},
        {"oneOf": [{"enum": [1, 2]}, {"enum": [3]}]},
        {"contains": {"const": 1}, "minContains": 2},
        {"default": 1, "examples": [1, [2]]},
    ],
)
def test_numbers_in_schemas_are_compared_by_value(keywords: dict[str, Any]) -> None:
    """1 and 1.0 are equal in every keyword, also next to a change."""
    floats = json.loads(json.dumps(keywords), parse_int=float)
    before = {"properties": {"x": {**keywords, "description": "a"}}}
    after = {"properties": {"x": {**floats, "description": "b"}}}
    assert [(change.kind, change.keyword) for change in compare_schemas(before, after)] == [("text", "description")]


@pytest.mark.parametrize("keyword", ["const", "default"])
def test_true_is_not_one_in_schemas(keyword: str) -> None:
    """1 and true differ, although Python treats them as equal."""
    assert compare_schemas({"properties": {"x": {keyword: [1]}}}, {"properties": {"x": {keyword: [True]}}})
