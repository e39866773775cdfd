"""Queries against what a server lists."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.prompts.live_check import LiveChecker
from mcprun.prompts.query import parse_query
from mcprun.tools.snapshot import Catalog
from mcprun.tools.toolset import ToolFilter, ToolSet

TOOLS = ToolSet.of(
    [
        {"name": "stats", "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
        {"name": "save", "inputSchema": {"type": "object", "properties": {"title": {"type": "string"}}}, "annotations": {"readOnlyHint": False}},
        {"name": "later", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}},
    ]
)  # fmt: skip
CATALOG = Catalog(
    prompts=[{"name": "brief", "arguments": [{"name": "topic", "required": True}, {"name": "tone"}]}],
    resources=[{"uri": "file:///notes.txt"}],
    resource_templates=[{"uriTemplate": "note://{year}/{+path}.md"}],
)


def findings(query: dict[str, Any], catalog: Catalog | None = CATALOG, permit: ToolFilter | None = None) -> list[str]:
    found = LiveChecker(TOOLS, catalog, permit).findings(parse_query(query))
    return [f"{'warning: ' if one.is_warning else ''}{one.field}: {one.message}" for one in found]


def scripted(*calls: tuple[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    turns = [{"calls": [{"tool": tool, "input": value}]} for tool, value in calls]
    return {"prompt": "x", "script": turns, **more}


NUMBER = {"$from": 0, "match": r"\d+", "as": "integer"}
TEXT = {"$from": 0, "match": r"\d+"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (scripted(("stats", {"n": 3}), expect={"calls": [{"tool": "stats"}], "never": ["sa*"]}, tools=["st*"]), []),
        (scripted(("statz", {})), ["script[0].calls[0].tool: the server has no tool 'statz'; did you mean 'stats'?"]),
        (scripted(("zzz", {})), ["script[0].calls[0].tool: the server has no tool 'zzz'; its tools are 'later', 'save', 'stats'"]),
        (scripted(("stats", {"m": 1})), ["script[0].calls[0].input.n: is missing, but required"]),
        (scripted(("save", {"titel": "a"})), ["script[0].calls[0].input.titel: there is no such argument; did you mean 'title'?"]),
        (scripted(("stats", {"n": "3"})), ["script[0].calls[0].input.n: '3' is not of type 'integer'"]),
        (scripted(("stats", {"n": "3"}), expect={"tool_errors": "allow"}), ["warning: script[0].calls[0].input.n: '3' is not of type 'integer'"]),
        (scripted(("stats", {"n": "3"}), expect={"calls": [{"tool": "stats", "is_error": True}]}), ["warning: script[0].calls[0].input.n: '3' is not of type 'integer'"]),
        (scripted(("gone", {}), expect={"calls": [{"tool": "gone", "is_error": True}]}), ["warning: script[0].calls[0].tool: the server has no tool 'gone'; its tools are 'later', 'save', 'stats'"]),
        (scripted(("save", {}), ("stats", {"n": NUMBER})), []),
        (scripted(("save", {}), ("stats", {"n": TEXT})), ['warning: script[1].calls[0].input.n: must be an integer, but the $from yields text; convert it with "as"']),
        (scripted(("save", {}), ("stats", {"n": {"$from": 0, "path": "/id"}})), []),
        (scripted(("later", {})), ["script[0].calls[0].tool: later: it can only be called as a task, which mcprun does not support"]),
        (scripted(("save", {}), tools=["stats"]), ["script[0].calls[0].tool: 'save' is not among the query's 'tools'"]),
        ({"prompt": "x", "expect": {"calls": [{"tool": "stat"}]}}, ["expect.calls[0].tool: the server has no tool 'stat'; did you mean 'stats'?"]),
        ({"prompt": "x", "expect": {"calls": [{"tool": "stats", "input": {"n": {"$any": True}}}]}}, []),
        ({"prompt": "x", "expect": {"calls": [{"tool": "stats", "input": {"n": {"$equals": "3"}}}]}}, ["expect.calls[0].input.n: '3' is not of type 'integer'"]),
        ({"prompt": "x", "expect": {"calls": [{"tool": "stats", "exact_input": True}]}}, ["expect.calls[0].input.n: is missing, but required"]),
        ({"prompt": "x", "expect": {"never": ["saev"]}, "tools": ["sta?"]}, ["warning: tools: 'sta?' matches no tool of the server; did you mean 'stats'?", "warning: expect.never: 'saev' matches no tool of the server; did you mean 'save'?"]),
        ({"server_prompt": {"name": "brief", "arguments": {"topic": "a"}}}, []),
        ({"server_prompt": "breif"}, ["server_prompt.name: the server has no prompt 'breif'; did you mean 'brief'?"]),
        ({"server_prompt": {"name": "brief", "arguments": {"tpic": "a"}}}, ["server_prompt.arguments.tpic: the prompt has no such argument; did you mean 'topic'?", "server_prompt.arguments.topic: is missing, but required"]),
        ({"prompt": "x", "resources": ["file:///notes.txt", "note://2026/a/b.md"]}, []),
        ({"prompt": "x", "resources": ["file:///note.txt"]}, ["warning: resources[0]: the server does not list 'file:///note.txt', and none of its templates fits; did you mean 'file:///notes.txt'?"]),
        ({"prompt": "x", "resources": ["note://2026.md"]}, ["warning: resources[0]: the server does not list 'note://2026.md', and none of its templates fits"]),
    ],
)  # fmt: skip
def test_names_and_inputs_are_checked(query: dict[str, Any], expected: list[str]) -> None:
    """Each field that can't work is named, with what was probably meant; what may be meant is a warning."""
    assert findings(query) == expected


def test_tools_that_may_not_be_used_are_reported() -> None:
    """A script that calls an excluded tool can't pass."""
    message = "script[0].calls[0].tool: 'save' is excluded by --allow-tool, --deny-tool or --read-only"
    assert findings(scripted(("save", {})), permit=ToolFilter(read_only=True)) == [message]


def test_lists_that_are_not_known_are_not_checked() -> None:
    """Without a list of prompts or resources, any name may exist."""
    query = {"server_prompt": "nope", "resources": ["a:b"]}
    failed = Catalog(
        prompts=[], resources=[], resource_templates=[], failed={"prompts": "x", "resource_templates": "y"}
    )
    assert findings(query, None) == findings(query, failed) == []


ISSUE = {"id": "a", "tool": "save", "input": {"title": "{{unique}}"}}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"before": [ISSUE], "after": [{"tool": "stats", "input": {"n": {"$from": "a", "path": "/n"}}}]}, []),
        ({"before": [{"tool": "statz"}]}, ["before[0].tool: the server has no tool 'statz'; did you mean 'stats'?"]),
        ({"before": [{"tool": "statz", "is_error": True}]}, ["warning: before[0].tool: the server has no tool 'statz'; did you mean 'stats'?"]),
        ({"after": [ISSUE, {"tool": "stats"}]}, ["after[1].input.n: is missing, but required"]),
        ({"cleanup": [{"tool": "stats", "input": {"n": "3"}}]}, ["cleanup[0].input.n: '3' is not of type 'integer'"]),
        ({"vars": {"n": 3}, "after": [{"tool": "stats", "input": {"n": "{{n}}"}}]}, []),
        ({"vars": {"n": 3}, "after": [{"tool": "stats", "input": {"n": "n{{n}}"}}]}, ["warning: after[0].input.n: must be an integer, but a name within text yields text"]),
        ({"vars": {"n": 3}} | scripted(("stats", {"n": "{{n}}"}), expect={"calls": [{"tool": "stats", "input": {"n": "{{n}}"}}]}), []),
        (scripted(("stats", {"n": "{{n}}"})), ["script[0].calls[0].input.n: '{{n}}' is not of type 'integer'"]),
        ({"after": [{"resource": "file:///note.txt"}]}, ["warning: after[0].resource: the server does not list 'file:///note.txt', and none of its templates fits; did you mean 'file:///notes.txt'?"]),
        ({"after": [{"resource": "note://{{unique}}"}]}, []),
        ({"after": [ISSUE], "tools": ["st*"]}, []),
    ],
)  # fmt: skip
def test_steps_are_checked(query: dict[str, Any], expected: list[str]) -> None:
    """Steps may use any tool. Names and references count as values of any type, a text with a name as text."""
    assert findings({"prompt": "x", **query}) == expected


def test_a_step_that_may_write_is_reported_if_the_run_is_read_only() -> None:
    """The step would be refused."""
    message = "after[0].tool: 'save' may write, which --read-only excludes"
    assert findings({"prompt": "x", "after": [ISSUE]}, permit=ToolFilter(read_only=True)) == [message]
