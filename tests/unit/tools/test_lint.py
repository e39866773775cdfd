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


def lint_rows(*tools: dict[str, Any]) -> list[tuple[str | None, str, str]]:
    """Lint tools, and return the tool, the severity and the rule of each finding."""
    return [(one.tool, one.severity, one.rule) for one in lint(ToolSet.of(tools))]


def tool_with_argument(schema: Any, **fields: Any) -> dict[str, Any]:
    """Return a valid tool with one argument."""
    return {**GOOD, "inputSchema": {**of(a=schema), "required": ["a"], **fields}}


def test_good_tool_has_no_findings() -> None:
    """A description and a type may also be behind a reference."""
    reference = {"$ref": "#/$defs/text"}
    definitions = {"text": {"type": "string", "description": "A text."}}
    assert lint_rows(GOOD) == lint_rows(tool_with_argument(reference, **{"$defs": definitions})) == []


@given(lists)
@settings(deadline=None)
def test_tools_that_the_api_rejects_have_an_error(listed: list[dict[str, Any]]) -> None:
    """If the API rejects the unmodified tools, lint reports at least one error."""
    sent = [{"name": tool["name"], "input_schema": tool["inputSchema"]} for tool in listed]
    if refusal({**body(ToolSet()), "tools": sent}):
        assert any(one.severity == "error" for one in lint(ToolSet.of(listed)))


@pytest.mark.parametrize(
    ("tool", "severity", "rule", "message"),
    [
        ({**GOOD, "name": "a.b"}, "error", "renamed", "its name is sent to the API as 'a_b_"),
        ({**GOOD, "inputSchema": {"type": "array"}}, "error", "left_out", "is left out: its input schema has type 'array'"),
        (tool_with_argument({"description": "x"} | of(**{"a b": {"type": "null"}})), "error", "rewritten", "the property key 'a b' is sent to the API as 'a_b_"),
        ({**GOOD, "inputSchema": {"required": ["a"]}}, "error", "rewritten", 'the schema is sent with "type": "object"'),
        (tool_with_argument({"type": "null", "description": "x"}, oneOf=[{}]), "error", "rewritten", "the schema's top-level allOf, anyOf or oneOf"),
        ({**GOOD, "execution": {"taskSupport": "required"}}, "warning", "task_only", "it can only be called as a task, which mcprun does not support"),
        ({**GOOD, "description": " \n"}, "warning", "no_description", "it has no description, so a model knows only its name"),
        ({**GOOD, "description": "Add"}, "warning", "short_description", "its description only repeats its name"),
        ({**GOOD, "description": "Sums  up."}, "warning", "short_description", "its description is too short to be useful: 'Sums up.'"),
        (tool_with_argument({"type": "null"}), "warning", "argument_description", "arguments without a description: a"),
        (tool_with_argument({"description": "x"}), "warning", "argument_type", "arguments without a type: a"),
        ({**GOOD, "inputSchema": of(a={"type": "null", "description": "x"}, b={"type": "null", "description": "x"})}, "warning", "nothing_required", "none of its arguments is required"),
        ({**GOOD, "description": "x" * 7000}, "warning", "large", "its definition costs about 2,0"),
        ({**GOOD, "annotations": {"readOnlyHint": True, "destructiveHint": True}}, "warning", "contradiction", "its annotations say both that it is read-only and that it is destructive"),
    ],
)  # fmt: skip
def test_each_rule_reports_its_finding(tool: dict[str, Any], severity: str, rule: str, message: str) -> None:
    """The tool has exactly one finding, with its name and the reason."""
    (finding,) = lint(ToolSet.of([tool]))
    assert (finding.tool, finding.severity, finding.rule) == (tool["name"], severity, rule)
    assert finding.message.startswith(message)


def test_deep_schema_and_long_list_of_arguments() -> None:
    """Deep nesting is reported, and only the first five names are listed."""
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(8):
        deep = of(x=deep)
    assert lint_rows(tool_with_argument(deep | {"description": "x"})) == [("add", "warning", "deep")]
    (finding,) = lint(
        ToolSet.of(
            [
                tool_with_argument({"type": "null"})
                | {"inputSchema": of(**{f"a{n}": {"default": 1, "type": "null"} for n in range(9)})}
            ]
        )
    )
    assert finding.message == "arguments without a description: a0, a1, a2, a3, a4 and 4 more"


def test_tools_are_linted_together() -> None:
    """Repeated names, shared descriptions, and too many tools are reported."""
    assert lint_rows(GOOD, GOOD) == [("add", "error", "repeated")]
    assert lint(ToolSet.of([GOOD, {**GOOD, "name": "other"}])) == [
        Finding(None, "same_description", "warning", "the same description is used by add, other")
    ]
    many = [{**GOOD, "name": f"tool-{n}", "description": f"What the tool {n} does. {'x' * 1500}"} for n in range(60)]
    assert lint_rows(*many) == [(None, "warning", "many_tools"), (None, "warning", "many_tokens")]


@pytest.mark.parametrize(
    ("names", "expected"),
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
def test_similar_names_are_found(names: list[str], expected: bool) -> None:
    """Names are similar if they differ in case, separators or one letter.

    Common distinctions such as `get` and `set` are not.
    """
    assert similar(names) == ([tuple(sorted(names))] if expected else [])


@given(lists)
@settings(deadline=None)
def test_token_cost_grows_with_the_description(listed: list[dict[str, Any]]) -> None:
    """Each tool that is sent has a cost, and a longer description increases it."""
    tools = ToolSet.of(listed)
    costs = token_costs(tools)
    assert costs.keys() == set(tools.names.values())
    wordy = token_costs(ToolSet.of([{**tool, "description": "word " * 100} for tool in listed]))
    assert all(0 < cost < wordy[name] for name, cost in costs.items())
