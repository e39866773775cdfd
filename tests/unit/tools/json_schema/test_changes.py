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
def edited(draw: st.DrawFn) -> tuple[Any, Any]:
    """Make a schema and one that differs from it in a place or two, as versions of a server do."""
    before = draw(wholes)
    after = copy.deepcopy(before)
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(after))
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


def _places(root: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Find where schemas stand within a schema."""
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
    """Ask another implementation; `None` where references lead in circles, or nowhere."""
    try:
        return jsonschema.Draft202012Validator(schema).is_valid(value)
    except (RecursionError, Unresolvable):
        return None


pairs = edited() | st.tuples(wholes, wholes)


@given(pairs, st.lists(values, min_size=5, max_size=40))
@settings(max_examples=examples(400), deadline=None)
def test_what_is_harmless_refuses_nothing(pair: tuple[Any, Any], instances: list[Any]) -> None:
    """What the old schema takes, the new one takes, unless a change is told that breaks those who send."""
    before, after = pair
    found = compare_schemas(before, after)
    if any(change.kind not in HARMLESS_TO_SEND for change in found):
        return
    event(f"harmless, {'changed' if found else 'same'}")
    new = {change.at[-1] for change in found if change.kind == "added"}  # nobody gives what was not declared
    for instance in instances:
        if new.isdisjoint(keys_of(instance)) and is_valid(before, instance):
            event("held against an instance")
            assert is_valid(after, instance) is not False, (found, instance)


def keys_of(value: Any) -> set[str]:
    """Find the keys of all objects within a value."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


@given(wholes)
@settings(deadline=None)
def test_a_schema_does_not_differ_from_itself(schema: Any) -> None:
    """Nor from a copy, nor from one whose keys and lists of names stand in another order."""
    assert compare_schemas(schema, copy.deepcopy(schema)) == []
    assert compare_schemas(schema, turned(schema)) == []


def turned(schema: Any) -> Any:
    """Turn the order of keys around, and that of `required`, everywhere."""
    if isinstance(schema, list):
        return [turned(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: one[::-1] if key == "required" else turned(one) for key, one in reversed(schema.items())}


OPPOSITE = {"narrowed": {"widened"}, "widened": {"narrowed"}, "changed": {"changed"}, "unclear": {"unclear"},
            "required": {"optional", "removed"}, "optional": {"required"}, "added": {"removed"},
            "removed": {"added", "required"}, "text": {"text"}}  # fmt: skip


@given(pairs)
@settings(deadline=None)
def test_what_narrows_one_way_widens_the_other(pair: tuple[Any, Any]) -> None:
    """From the other side, each change is its opposite; what is removed hides what else changed there."""
    forth, back = compare_schemas(*pair), compare_schemas(*reversed(pair))
    for one, other in ((forth, back), (back, forth)):
        kinds = {change.kind for change in other}
        hidden = "removed" in kinds
        for change in one:
            assert OPPOSITE[change.kind] & kinds or hidden, change


@given(objects(leaves), schemas, st.data())
@settings(deadline=None)
def test_a_new_optional_property_breaks_nobody(schema: dict[str, Any], new: Any, data: st.DataObject) -> None:
    """Neither who sends nor who reads, whatever its schema, at the top and below; without it, both may miss it."""
    plain: dict[str, Any] = {
        "type": "object",
        **{key: schema[key] for key in ("properties", "required") if key in schema},
    }
    below = of(a={**plain, "properties": {"x": {}, **plain.get("properties", {})}})
    before = data.draw(st.sampled_from([plain, below]))
    after = copy.deepcopy(before)
    inner = after if before is plain else after["properties"]["a"]
    inner["properties"] = {**inner.get("properties", {}), "new": new}
    # What refers to nothing can't be judged, and says so beside it.
    there, back = (
        [change for change in compare_schemas(*pair) if change.kind != "unclear"]
        for pair in ((rooted(before, {}, {}), rooted(after, {}, {})), (rooted(after, {}, {}), rooted(before, {}, {})))
    )
    assert [(one.kind, one.keyword, one.after) for one in there] == [("added", "properties", new)]
    assert [one.kind for one in back] == ["removed"]


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
def test_each_change_is_told_by_what_it_does(before: Any, after: Any, kind: str, at: str, keyword: str) -> None:
    """Fewer values, more, others, or nobody knows; and where."""
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
def test_a_bound_that_is_not_a_number_can_not_be_judged(keyword: str, before: Any, after: Any) -> None:
    """A reference may lead to a place that no metaschema checks."""
    old, new = ({**of(a={"$ref": "#/x"}), "x": node} for node in (before, after))
    assert ("unclear", ".a", keyword) in [(one.kind, one.at, one.keyword) for one in compare_schemas(old, new)]
    assert compare_schemas(old, old) == []


def test_a_definition_is_followed_and_told_of_once() -> None:
    """However often it is referred to, by itself too, and whether it is written out or not."""

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
    """Wherever they stand; what can't be followed, in schemas that differ, can't be judged."""
    one, other = ({**of(a={"$ref": "#A"}), "$defs": definitions} for definitions in (before, after))
    assert [(change.kind, change.at, change.keyword) for change in compare_schemas(one, other)] == expected


def test_what_is_only_compared_as_a_whole_counts_with_its_definitions() -> None:
    """The same words do not mean the same when what they refer to has changed."""
    refused = of(a={"not": {"$ref": "#/$defs/x"}})
    before, after = ({**refused, "$defs": {"x": {"const": value}}} for value in (1, 2))
    assert [(one.kind, one.at, one.keyword) for one in compare_schemas(before, after)] == [("unclear", ".a", "not")]


def test_a_schema_may_not_unfold_without_end() -> None:
    """Definitions that hold the next one twice, or lead in circles, take no longer than they are long."""
    deep = {f"d{n}": of(a={"$ref": f"#/$defs/d{n + 1}"}, b={"$ref": f"#/$defs/d{n + 1}"}) for n in range(200)}
    before = {"$ref": "#/$defs/d0", "$defs": {**deep, "d200": {"type": "string"}}}
    after = {"$ref": "#/$defs/d0", "$defs": {**deep, "d200": {"type": "null"}}}
    assert {one.kind for one in compare_schemas(before, after)} == {"unclear"}
    round_ = {"$ref": "#/$defs/x", "$defs": {"x": {"anyOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}]}}}
    for one, other in ((round_, {"type": "string"}), ({"type": "string"}, round_), (round_, {**round_, "minimum": 1})):
        assert {change.kind for change in compare_schemas(one, other)} - {"text"}


@pytest.mark.parametrize("odd", [None, "string", {"type": "strnig"}, {"properties": 3}, {"items": [{}]}])
def test_what_is_no_schema_can_not_be_judged(odd: Any) -> None:
    """It is told apart, and that is all."""
    assert compare_schemas(odd, {"type": "object"}) == [SchemaChange("unclear", "", "schema", odd, {"type": "object"})]
    assert compare_schemas(odd, copy.deepcopy(odd)) == []


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
def test_numbers_of_schemas_are_compared_by_value(keywords: dict[str, Any]) -> None:
    """1 and 1.0 are one number, wherever they stand, and also beside something that changed."""
    floats = json.loads(json.dumps(keywords), parse_int=float)
    before = {"properties": {"x": {**keywords, "description": "a"}}}
    after = {"properties": {"x": {**floats, "description": "b"}}}
    assert [(change.kind, change.keyword) for change in compare_schemas(before, after)] == [("text", "description")]


@pytest.mark.parametrize("keyword", ["const", "default"])
def test_true_is_not_one_in_schemas(keyword: str) -> None:
    """Python would take them for the same."""
    assert compare_schemas({"properties": {"x": {keyword: [1]}}}, {"properties": {"x": {keyword: [True]}}})
