"""Linting tools, for the API and for a model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from mcprun.tools.lint import Finding, lint, similar, token_costs
from mcprun.tools.toolset import ToolSet
from tests.support.input_schemas import body
from tests.support.messages_rules import refusal
from tests.support.schema_strategies import of
from tests.support.tool_lists import lists

GOOD = {"name": "add", "description": "Add two numbers, and give the sum.",
        "inputSchema": {**of(a={"type": "number", "description": "One."}), "required": ["a"]}}  # fmt: skip


def found(*tools: dict[str, Any]) -> list[tuple[str | None, str, str]]:
    """Look at tools; give each finding's tool, severity and rule."""
    return [(one.tool, one.severity, one.rule) for one in lint(ToolSet.of(tools))]


def argument(schema: Any, **more: Any) -> dict[str, Any]:
    """Make a good tool with one argument."""
    return {**GOOD, "inputSchema": {**of(a=schema), "required": ["a"], **more}}


def test_nothing_is_wrong_with_a_good_tool() -> None:
    """With descriptions, types and what is required; the words may stand where a reference leads."""
    text = {"$ref": "#/$defs/text"}
    defined = {"text": {"type": "string", "description": "A text."}}
    assert found(GOOD) == found(argument(text, **{"$defs": defined})) == []


@given(lists)
@settings(deadline=None)
def test_what_the_api_refuses_is_an_error(listed: list[dict[str, Any]]) -> None:
    """A server's tools, sent as they are, are refused only if there is an error."""
    sent = [{"name": tool["name"], "input_schema": tool["inputSchema"]} for tool in listed]
    if refusal({**body(ToolSet()), "tools": sent}):
        assert any(one.severity == "error" for one in lint(ToolSet.of(listed)))


@pytest.mark.parametrize(
    ("tool", "severity", "rule", "message"),
    [
        ({**GOOD, "name": "a.b"}, "error", "renamed", "its name is sent to the API as 'a_b_"),
        ({**GOOD, "inputSchema": {"type": "array"}}, "error", "left_out", "is left out: its input schema has type 'array'"),
        (argument({"description": "x"} | of(**{"a b": {"type": "null"}})), "error", "rewritten", "the property key 'a b' is sent to the API as 'a_b_"),
        ({**GOOD, "inputSchema": {"required": ["a"]}}, "error", "rewritten", 'the schema is sent with "type": "object"'),
        (argument({"type": "null", "description": "x"}, oneOf=[{}]), "error", "rewritten", "the schema's top-level allOf, anyOf or oneOf"),
        ({**GOOD, "execution": {"taskSupport": "required"}}, "warning", "task_only", "it can only be called as a task, which mcprun does not support"),
        ({**GOOD, "description": " \n"}, "warning", "no_description", "it has no description, so a model knows only its name"),
        ({**GOOD, "description": "Add"}, "warning", "short_description", "its description only repeats its name"),
        ({**GOOD, "description": "Sums  up."}, "warning", "short_description", "its description is too short to be useful: 'Sums up.'"),
        (argument({"type": "null"}), "warning", "argument_description", "arguments without a description: a"),
        (argument({"description": "x"}), "warning", "argument_type", "arguments without a type: a"),
        ({**GOOD, "inputSchema": of(a={"type": "null", "description": "x"}, b={"type": "null", "description": "x"})}, "warning", "nothing_required", "none of its arguments is required"),
        ({**GOOD, "description": "x" * 7000}, "warning", "large", "its definition costs about 2,0"),
        ({**GOOD, "annotations": {"readOnlyHint": True, "destructiveHint": True}}, "warning", "contradiction", "its annotations say both that it is read-only and that it is destructive"),
    ],
)  # fmt: skip
def test_each_rule_finds_what_it_is_for(tool: dict[str, Any], severity: str, rule: str, message: str) -> None:
    """One finding, with the tool's name, and a message that says what is wrong."""
    (finding,) = lint(ToolSet.of([tool]))
    assert (finding.tool, finding.severity, finding.rule) == (tool["name"], severity, rule)
    assert finding.message.startswith(message)


def test_deep_schemas_and_long_lists() -> None:
    """What is nested deep is told, and of many names only the first."""
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(8):
        deep = of(x=deep)
    assert found(argument(deep | {"description": "x"})) == [("add", "warning", "deep")]
    (finding,) = lint(
        ToolSet.of(
            [
                argument({"type": "null"})
                | {"inputSchema": of(**{f"a{n}": {"default": 1, "type": "null"} for n in range(9)})}
            ]
        )
    )
    assert finding.message == "arguments without a description: a0, a1, a2, a3, a4 and 4 more"


def test_tools_side_by_side() -> None:
    """The same name and description twice, names that look alike, and more tools than a model can choose from."""
    assert found(GOOD, GOOD) == [("add", "error", "repeated")]
    assert lint(ToolSet.of([GOOD, {**GOOD, "name": "other"}])) == [
        Finding(None, "same_description", "warning", "the same description is used by add, other")
    ]
    many = [{**GOOD, "name": f"tool-{n}", "description": f"What the tool {n} does. {'x' * 1500}"} for n in range(60)]
    assert found(*many) == [(None, "warning", "many_tools"), (None, "warning", "many_tokens")]


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (["getUser", "get_user"], True),
        (["list_user", "list_users"], True),
        (["create_card", "create_cart"], True),
        (["get_user", "set_user"], False),
        (["tool-1", "tool-2"], False),
        (["tool-1", "tool-11"], False),
        (["add", "and"], False),
        (["read", "write"], False),
    ],
)
def test_names_that_are_easily_mistaken(names: list[str], alike: bool) -> None:
    """Case, marks and one letter; not what tells names apart by habit."""
    assert similar(names) == ([tuple(sorted(names))] if alike else [])


@given(lists)
@settings(deadline=None)
def test_a_tool_costs_what_it_says(listed: list[dict[str, Any]]) -> None:
    """Each tool that is sent costs something, those left out nothing, and more words cost more."""
    tools = ToolSet.of(listed)
    costs = token_costs(tools)
    assert costs.keys() == set(tools.names.values())
    wordy = token_costs(ToolSet.of([{**tool, "description": "word " * 100} for tool in listed]))
    assert all(0 < cost < wordy[name] for name, cost in costs.items())
