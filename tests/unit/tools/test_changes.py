"""Comparing tool lists: which changes are reported, and which break callers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcprun._util.json_value import json_equal
from mcprun.tools.changes import ToolChange, compare_tools
from tests.support.schema_strategies import of
from tests.support.tool_lists import lists, tool


@given(lists, lists, st.randoms())
@settings(deadline=None)
def test_only_different_tools_have_changes(
    before: list[dict[str, Any]], after: list[dict[str, Any]], random: Any
) -> None:
    """Equal tools have no change, in any order. Each different tool has at least one."""
    shuffled = copy.deepcopy(before)
    random.shuffle(shuffled)
    assert compare_tools(before, shuffled) == []
    old, new = ({tool["name"]: tool for tool in one} for one in (before, after))
    found = compare_tools(before, after)
    differ = {name for name in old.keys() | new.keys() if not json_equal(old.get(name), new.get(name))}
    renamed = {change.after for change in found if change.kind == "tool_renamed"}
    assert {change.tool for change in found} == differ - renamed
    assert all("\n" not in change.message and len(change.message) < 1000 for change in found)
    assert [change.tool for change in found] == sorted(change.tool for change in found)


def list_changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, bool, str]]:
    """Compare two tools, and return the kind, the breaking flag and the message of each change."""
    return [(one.kind, one.breaking, one.message) for one in compare_tools([before], [after])]


ROOT = {"type": "object"}


@pytest.mark.parametrize(
    ("before", "after", "breaks_senders", "breaks_readers", "words"),
    [
        (of(), of(b={"type": "null"}), False, False, '.b: new optional {noun} {{"type": "null"}}'),
        (of(), {**of(b=True), "required": ["b"]}, True, False, ".b: new required {noun} true"),
        (of(b={}), of(), True, True, ".b: {noun} removed"),
        (of(b={}), {**of(b={}), "required": ["b"]}, True, False, ".b: {noun} is now required"),
        ({**of(b={}), "required": ["b"]}, of(b={}), False, True, ".b: {noun} is now optional"),
        (of(b={"type": "number"}), of(b={"type": "integer"}), True, False, ".b: type number → integer"),
        (of(b={"type": "integer"}), of(b={"type": "number"}), False, True, ".b: type integer → number"),
        (of(b={"type": "integer"}), of(b={"type": "null"}), True, True, ".b: type integer → null"),
        (of(b={"enum": ["C", "F"]}), of(b={"enum": ["C"]}), True, False, '.b: enum ["C", "F"] → ["C"]'),
        (of(b={"maximum": 5}), of(b={"maximum": 9}), False, True, ".b: maximum 5 → 9"),
        (of(b={"minLength": 1}), of(b={}), False, True, '.b: {{"minLength": 1}} → anything'),
        (of(b={"pattern": "^a"}), of(b={"pattern": "^b"}), True, True, """.b: pattern "^a" → "^b" (compatibility unknown)"""),
        (ROOT, {**ROOT, "additionalProperties": False}, True, False, ": additionalProperties true → false"),
        (of(b={"type": "string"}), of(b={"anyOf": [{"type": "string"}, {"type": "null"}]}), False, True, '.b: now allows {{"type": "null"}}'),
        (of(b={"items": of(c={})}), of(b={"items": of()}), True, True, ".b[].c: property removed"),
        (of(b={"description": "x"}), of(b={"description": "y"}), False, False, ".b: description x → y"),
    ],
)  # fmt: skip
def test_schema_change_breaks_senders_or_readers(
    before: Any, after: Any, breaks_senders: bool, breaks_readers: bool, words: str
) -> None:
    """An input schema that accepts less breaks senders, and an output schema that promises less breaks readers."""
    ((kind, breaking, message),) = list_changes(tool(schema=before), tool(schema=after))
    assert (kind[:6], breaking, message) == ("input_", breaks_senders, "input" + words.format(noun="argument"))
    plain = tool(schema=ROOT)
    ((kind, breaking, message),) = list_changes(plain | {"outputSchema": before}, plain | {"outputSchema": after})
    assert (kind[:7], breaking, message) == ("output_", breaks_readers, "output" + words.format(noun="property"))


@pytest.mark.parametrize(
    ("before", "after", "breaking"),
    [
        ({"readOnlyHint": True}, {"readOnlyHint": False}, [True]),
        ({"readOnlyHint": True}, {}, [True]),
        ({}, {"readOnlyHint": True}, [False]),
        ({"destructiveHint": False}, {}, [True]),
        ({"idempotentHint": True}, {"idempotentHint": False}, [True]),
        ({"openWorldHint": False}, {"openWorldHint": True}, [True]),
        ({"openWorldHint": True}, {"openWorldHint": False}, [False]),
        ({"destructiveHint": False}, {"readOnlyHint": True}, [False, False]),
        ({"title": "A"}, {"title": "B"}, [False]),
    ],
)
def test_less_safe_annotations_are_breaking(before: Any, after: Any, breaking: list[bool]) -> None:
    """Absent hints have the specification's defaults. A change to read-only makes the hints about writes irrelevant."""
    found = compare_tools([tool(annotations=before)], [tool(annotations=after)])
    assert [(change.kind, change.breaking) for change in found] == [("annotation", one) for one in breaking]


def test_change_without_effect_on_meaning_is_reported() -> None:
    """A default that is written out, and a change of an unknown field, are not breaking."""
    plain = tool()
    assert list_changes(plain, plain | {"annotations": {"openWorldHint": True}}) == [
        ("other", False, "written differently, but with the same meaning")
    ]
    assert list_changes(plain, plain | {"_meta": {"a": 1}}) == [("other", False, '_meta: none → {"a": 1}')]
    assert list_changes(plain | {"title": "A"}, plain) == [("title", False, "title: A → none")]


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (tool(schema=of(a={"enum": [1]})), tool(schema=of(a={"enum": [True]})), [("input_changed", True)]),
        (tool(schema=of(a={"const": 0})), tool(schema=of(a={"const": False})), [("input_changed", True)]),
        (tool(schema=of(a={"default": 0})), tool(schema=of(a={"default": False})), [("input_text", False)]),
        (tool(outputSchema=of(a={"enum": [1]})), tool(outputSchema=of(a={"enum": [True]})), [("output_changed", True)]),
        (tool(_meta={"a": 1}), tool(_meta={"a": True}), [("other", False)]),
        (tool(annotations={"openWorldHint": 1}), tool(annotations={"openWorldHint": True}), [("annotation", True)]),
        (tool(schema=of(a={"const": 1})), tool(schema=of(a={"const": 1.0})), []),
    ],
)
def test_one_is_not_true(before: Any, after: Any, kinds: list[tuple[str, bool]]) -> None:
    """Values are compared as JSON: 1 differs from true, and equals 1.0."""
    assert [(kind, breaking) for kind, breaking, _ in list_changes(before, after)] == kinds


def test_removed_output_schema_is_breaking() -> None:
    """A new output schema is compatible. Readers depend on an existing one."""
    plain, with_output = tool(), tool(outputSchema={"type": "object"})
    assert list_changes(plain, with_output) == [
        ("output_schema_added", False, 'output: schema added, {"type": "object"}')
    ]
    assert list_changes(with_output, plain) == [("output_schema_removed", True, "output: schema removed")]


def test_long_texts_are_shown_from_their_first_difference() -> None:
    """Only the end of the common prefix is shown."""
    before, after = tool(description="word " * 100 + "one"), tool(description="word " * 100 + "other")
    assert list_changes(before, after) == [
        ("description", False, 'description: "…ord word word word one" → "…ord word word word other"')
    ]
    longer = tool(description="word " * 101)
    assert list_changes(tool(description="word " * 100), longer)[0][2] == (
        'description: "…word word word word " → "…word word word word word "'
    )
    many = [f"value {number}" for number in range(100)]
    ((_, _, message),) = list_changes(tool(schema=of(a={"enum": many})), tool(schema=of(a={"enum": [*many, "new"]})))
    assert message.endswith('"value 99"] → …alue 98", "value 99", "new"]')


def test_removed_and_renamed_tools_are_breaking() -> None:
    """A removed tool that resembles one new tool is reported as renamed. With two candidates, it is only removed."""
    price = tool("price", description="Tell a price.")
    renamed = tool(
        "unit_price", {**of(a={"type": "string"}), "title": "unit_priceArguments"}, description="Tell a price."
    )
    assert compare_tools([price], [renamed]) == [
        ToolChange("price", "tool_renamed", True, "removed, probably renamed to unit_price", "price", "unit_price")
    ]
    twins = [renamed, renamed | {"name": "cost"}]
    for other in ([renamed | {"inputSchema": of(b={})}], [renamed | {"name": "cost", "description": "Other."}], twins):
        kinds = [(change.tool, change.kind, change.breaking) for change in compare_tools([price], other)]
        new = [(one["name"], "tool_added", False) for one in other]
        assert kinds == sorted([("price", "tool_removed", True), *new])
