"""Comparing tool lists: what is reported, and what breaks callers."""

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
def test_there_is_no_change_only_if_the_tools_are_the_same(
    before: list[dict[str, Any]], after: list[dict[str, Any]], chance: Any
) -> None:
    """Whatever a server lists, in whatever order: the same tools have no change, and others have one."""
    again = copy.deepcopy(before)
    chance.shuffle(again)
    assert compare_tools(before, again) == []
    old, new = ({tool["name"]: tool for tool in one} for one in (before, after))
    found = compare_tools(before, after)
    differ = {name for name in old.keys() | new.keys() if not json_equal(old.get(name), new.get(name))}
    renamed = {change.after for change in found if change.kind == "tool_renamed"}
    assert {change.tool for change in found} == differ - renamed
    assert all("\n" not in change.message and len(change.message) < 1000 for change in found)
    assert [change.tool for change in found] == sorted(change.tool for change in found)


def change_rows(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, bool, str]]:
    """Compare two tools; give each change's kind, whether it breaks, and its message."""
    return [(one.kind, one.breaking, one.message) for one in compare_tools([before], [after])]


ROOT = {"type": "object"}


@pytest.mark.parametrize(
    ("before", "after", "sends", "reads", "words"),
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
def test_a_schema_breaks_who_sends_or_who_reads(before: Any, after: Any, sends: bool, reads: bool, words: str) -> None:
    """An input schema that takes less is breaking, and an output schema that promises less; each change says where."""
    ((kind, breaking, message),) = change_rows(tool(schema=before), tool(schema=after))
    assert (kind[:6], breaking, message) == ("input_", sends, "input" + words.format(noun="argument"))
    plain = tool(schema=ROOT)
    ((kind, breaking, message),) = change_rows(plain | {"outputSchema": before}, plain | {"outputSchema": after})
    assert (kind[:7], breaking, message) == ("output_", reads, "output" + words.format(noun="property"))


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
def test_annotations_that_ask_for_more_care_are_breaking(before: Any, after: Any, breaking: list[bool]) -> None:
    """With the specification's defaults; between writes nothing else counts once a tool is read-only."""
    found = compare_tools([tool(annotations=before)], [tool(annotations=after)])
    assert [(change.kind, change.breaking) for change in found] == [("annotation", one) for one in breaking]


def test_what_is_said_without_words_is_a_change_too() -> None:
    """A default that is written out, and what mcprun knows nothing about."""
    plain = tool()
    assert change_rows(plain, plain | {"annotations": {"openWorldHint": True}}) == [
        ("other", False, "written differently, but with the same meaning")
    ]
    assert change_rows(plain, plain | {"_meta": {"a": 1}}) == [("other", False, '_meta: none → {"a": 1}')]
    assert change_rows(plain | {"title": "A"}, plain) == [("title", False, "title: A → none")]


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
    """Values are compared as JSON, wherever they stand; 1 and 1.0 are the same number."""
    assert [(kind, breaking) for kind, breaking, _ in change_rows(before, after)] == kinds


def test_an_output_schema_may_come_and_not_go() -> None:
    """Who reads relies on it."""
    plain, with_output = tool(), tool(outputSchema={"type": "object"})
    assert change_rows(plain, with_output) == [
        ("output_schema_added", False, 'output: schema added, {"type": "object"}')
    ]
    assert change_rows(with_output, plain) == [("output_schema_removed", True, "output: schema removed")]


def test_long_texts_are_shown_where_they_differ() -> None:
    """What they begin with alike is left out, but for its end."""
    before, after = tool(description="word " * 100 + "one"), tool(description="word " * 100 + "other")
    assert change_rows(before, after) == [
        ("description", False, 'description: "…ord word word word one" → "…ord word word word other"')
    ]
    longer = tool(description="word " * 101)
    assert change_rows(tool(description="word " * 100), longer)[0][2] == (
        'description: "…word word word word " → "…word word word word word "'
    )
    many = [f"value {number}" for number in range(100)]
    ((_, _, message),) = change_rows(tool(schema=of(a={"enum": many})), tool(schema=of(a={"enum": [*many, "new"]})))
    assert message.endswith('"value 99"] → …alue 98", "value 99", "new"]')


def test_tools_that_are_gone_new_or_renamed() -> None:
    """A tool that is gone is breaking, and so is one that looks renamed; two that look the same are not told apart."""
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
