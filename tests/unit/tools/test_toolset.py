"""Tools mapped to the Messages API and back."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.tools.api_schema import replacement_name
from mcprun.tools.toolset import ToolFilter, ToolSet
from tests.support.input_schemas import body, keys, tools
from tests.support.messages_rules import refusal


def nested(levels: int) -> dict[str, Any]:
    """Make a schema of arrays in arrays."""
    return {"type": "array", "items": nested(levels - 1)} if levels else {}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(tools, max_size=5))
def test_the_api_takes_whatever_is_sent(listed: list[dict[str, Any]]) -> None:
    """However odd the tools of a server, the list that is sent is one that the API does not refuse."""
    assert refusal(body(ToolSet.of(listed))) is None


@given(st.lists(tools, min_size=1, max_size=5), st.data())
def test_a_call_comes_back_as_it_was_meant(listed: list[dict[str, Any]], data: st.DataObject) -> None:
    """Mapped to the API and back, a call has the server's own name and keys again."""
    found = ToolSet.of(listed)
    for name in found.names.values():
        properties = next(tool for tool in listed if tool["name"] == name)["inputSchema"]["properties"]
        declared = data.draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set()
        free = data.draw(st.dictionaries(keys, values, max_size=3))
        arguments = free | {key: data.draw(values) for key in sorted(declared)}
        assert found.from_api(*found.to_api(name, arguments)) == (name, arguments)


@given(
    st.fixed_dictionaries({}, optional={
        "oneOf": st.just([{"required": ["a"]}, {"required": ["b"]}]),
        "anyOf": st.just([{"properties": {"a": {"type": "string"}}}, {"required": ["c"]}]),
        "allOf": st.just([{"maxProperties": 2}]),
        "if": st.just({"required": ["a"]}),
        "then": st.just({"required": ["b"]}),
    }),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", 1]), max_size=3),
)  # fmt: skip
def test_rewriting_keeps_the_meaning(keywords: dict[str, Any], instance: dict[str, Any]) -> None:
    """What the server's schema holds valid, the sent one does, and nothing else."""
    schema = {"properties": {"a": {}}, **keywords}
    (sent,) = ToolSet.of([{"name": "t", "inputSchema": schema}]).definitions
    theirs, ours = (jsonschema.Draft202012Validator(one).is_valid(instance) for one in (schema, sent["input_schema"]))
    assert theirs == ours


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array"}, "its input schema has type 'array', but arguments are always an object"),
        ("object", "its input schema is not an object"),
        ({"type": "object", "not": nested(150)}, "its input schema is nested more than 100 deep"),
        (
            {"type": "object", "properties": {"a": {"type": "strnig"}}},
            "its input schema is not valid at $.properties.a.type: 'strnig' is not valid under any of the given schemas",
        ),
    ],
)
def test_what_cannot_be_sent_is_left_out_by_name(schema: Any, why: str) -> None:
    """A tool with a schema that can't be sent is not sent, and a warning says so."""
    found = ToolSet.of([{"name": "bad", "inputSchema": schema}, {"name": "good", "inputSchema": {"type": "object"}}])
    assert [tool["name"] for tool in found.definitions] == ["good"]
    assert found.warnings == (f"tool 'bad' is left out: {why}",)


def test_what_runs_only_as_a_task_is_left_out() -> None:
    """A model would be refused whenever it calls such a tool; one that may be a task is called as any other."""
    schema = {"type": "object"}
    listed = [
        {"name": support, "inputSchema": schema, "execution": {"taskSupport": support}}
        for support in ("forbidden", "optional", "required")
    ]
    found = ToolSet.of([*listed, {"name": "silent", "inputSchema": schema, "execution": None}])
    assert [tool["name"] for tool in found.definitions] == ["forbidden", "optional", "silent"]
    assert found.warnings == (
        "tool 'required' is left out: it can only be called as a task, which mcprun does not support",
    )


def test_tools_are_sorted_and_the_second_of_a_name_is_left_out() -> None:
    """The order is the names', so that a cached prompt stays warm; a name stands once."""
    found = ToolSet.of({"name": name, "inputSchema": {"type": "object"}} for name in ("b", "a", "b"))
    assert [tool["name"] for tool in found.definitions] == ["a", "b"]
    assert found.warnings == ("tool 'b' is listed twice; the second entry is left out",)


def test_names_that_would_clash_stay_apart() -> None:
    """Names that look the same in the API's alphabet get different stand-ins, which depend on the name alone."""
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in ("a.b", "a/b", "a_b")]
    found = ToolSet.of(listed)
    sent = [tool["name"] for tool in found.definitions]
    assert (len(set(sent)), sent[2]) == (3, "a_b")
    assert [ToolSet.of([tool]).definitions[0]["name"] for tool in listed] == sent


def test_patterns_choose_by_the_servers_names() -> None:
    """A query's `tools` are patterns on the names that the server gives."""
    found = ToolSet.of([{"name": name, "inputSchema": {"type": "object"}} for name in ("fs.read", "fs.write", "net")])
    assert [tool["name"] for tool in found.only(ToolFilter(("fs.*",))).definitions] == [
        replacement_name("fs.read", 128, "-"),
        replacement_name("fs.write", 128, "-"),
    ]
    assert found.only(ToolFilter()) is found


def test_stand_in_keys_are_used_wherever_a_schema_names_its_properties() -> None:
    """`properties`, `required`, `dependentRequired` and nested schemas get the same stand-ins; values do not."""
    inner = {"type": "object", "properties": {"a b": {}}, "required": ["a b"]}
    schema = {
        "type": "object",
        "properties": {"a b": {"enum": ["a b"]}, "list": {"type": "array", "items": inner}},
        "required": ["a b"],
        "dependentRequired": {"a b": ["list"], "list": ["a b"]},
    }
    found = ToolSet.of([{"name": "t", "description": "What it does.", "inputSchema": schema}])
    key = replacement_name("a b", 64, ".-")
    assert key.startswith("a_b_")
    sent_inner = {"type": "object", "properties": {key: {}}, "required": [key]}
    assert found.definitions == (
        {
            "name": "t",
            "description": "What it does.",
            "input_schema": {
                "type": "object",
                "properties": {key: {"enum": ["a b"]}, "list": {"type": "array", "items": sent_inner}},
                "required": [key],
                "dependentRequired": {key: ["list"], "list": [key]},
            },
        },
    )
    assert found.from_api("t", {"list": [{key: "a b"}]}) == ("t", {"list": [{"a b": "a b"}]})


def test_what_the_schema_does_not_declare_keeps_its_keys() -> None:
    """A free-form object may hold a key that is a stand-in elsewhere; alternatives and references are followed."""
    node = {"type": "object", "properties": {"next one": {"$ref": "#/$defs/node"}, "data": {"type": "object"}}}
    schema = {
        "type": "object",
        "properties": {"user id": {}, "meta": {"type": "object"}, "tree": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
        "$defs": {"node": node},
    }  # fmt: skip
    found = ToolSet.of([{"name": "t", "inputSchema": schema}])
    user, following = replacement_name("user id", 64, ".-"), replacement_name("next one", 64, ".-")
    asked = {user: 1, "meta": {user: 2}, "tree": {following: {following: {"data": {following: 3}}}}}
    meant = {"user id": 1, "meta": {user: 2}, "tree": {"next one": {"next one": {"data": {following: 3}}}}}
    assert found.from_api("t", asked) == ("t", meant)
    assert found.to_api("t", meant) == ("t", asked)
