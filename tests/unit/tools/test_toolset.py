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


def nest_arrays(levels: int) -> dict[str, Any]:
    """Return a schema of nested arrays."""
    return {"type": "array", "items": nest_arrays(levels - 1)} if levels else {}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(tools, max_size=5))
def test_api_accepts_the_tools_of_any_server(listed: list[dict[str, Any]]) -> None:
    """The API accepts the list of tools that is sent for any list of a server."""
    assert refusal(body(ToolSet.of(listed))) is None


@given(st.lists(tools, min_size=1, max_size=5), st.data())
def test_call_is_mapped_to_the_api_and_back(listed: list[dict[str, Any]], data: st.DataObject) -> None:
    """A call has the server's own name and keys after both mappings."""
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
def test_rewritten_schema_accepts_the_same_values(keywords: dict[str, Any], instance: dict[str, Any]) -> None:
    """An instance is valid against the sent schema exactly if it is valid against the server's."""
    schema = {"properties": {"a": {}}, **keywords}
    (sent,) = ToolSet.of([{"name": "t", "inputSchema": schema}]).definitions
    is_valid_before, is_valid_after = (
        jsonschema.Draft202012Validator(one).is_valid(instance) for one in (schema, sent["input_schema"])
    )
    assert is_valid_before == is_valid_after


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array"}, "its input schema has type 'array', but arguments are always an object"),
        ("object", "its input schema is not an object"),
        ({"type": "object", "not": nest_arrays(150)}, "its input schema is nested more than 100 deep"),
        (
            {"type": "object", "properties": {"a": {"type": "strnig"}}},
            "its input schema is not valid at $.properties.a.type: 'strnig' is not valid under any of the given schemas",
        ),
    ],
)
def test_tool_with_an_unusable_schema_is_left_out(schema: Any, reason: str) -> None:
    """A warning has the name of the tool and the reason."""
    found = ToolSet.of([{"name": "bad", "inputSchema": schema}, {"name": "good", "inputSchema": {"type": "object"}}])
    assert [tool["name"] for tool in found.definitions] == ["good"]
    assert found.warnings == (f"tool 'bad' is left out: {reason}",)


def test_task_only_tool_is_left_out() -> None:
    """Each call of such a tool would fail. A tool that supports tasks optionally is sent."""
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


def test_tools_are_sorted_and_unique() -> None:
    """Sorting by name keeps the prompt cache valid. A second tool with the same name is left out."""
    found = ToolSet.of({"name": name, "inputSchema": {"type": "object"}} for name in ("b", "a", "b"))
    assert [tool["name"] for tool in found.definitions] == ["a", "b"]
    assert found.warnings == ("tool 'b' is listed twice; the second entry is left out",)


def test_replacement_names_do_not_collide() -> None:
    """Names that map to the same characters get different replacements, which depend only on the name."""
    listed = [{"name": name, "inputSchema": {"type": "object"}} for name in ("a.b", "a/b", "a_b")]
    found = ToolSet.of(listed)
    sent = [tool["name"] for tool in found.definitions]
    assert (len(set(sent)), sent[2]) == (3, "a_b")
    assert [ToolSet.of([tool]).definitions[0]["name"] for tool in listed] == sent


def test_tool_patterns_match_the_servers_names() -> None:
    """A query's `tools` are patterns on the names before replacement."""
    found = ToolSet.of([{"name": name, "inputSchema": {"type": "object"}} for name in ("fs.read", "fs.write", "net")])
    assert [tool["name"] for tool in found.only(ToolFilter(("fs.*",))).definitions] == [
        replacement_name("fs.read", 128, "-"),
        replacement_name("fs.write", 128, "-"),
    ]
    assert found.only(ToolFilter()) is found


def test_property_keys_are_replaced_throughout_the_schema() -> None:
    """`properties`, `required`, `dependentRequired` and nested schemas have the same replacement keys.

    Values are unchanged.
    """
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


def test_undeclared_keys_are_unchanged() -> None:
    """A free-form object keeps a key that is a replacement elsewhere. Alternatives and references are followed."""
    node = {"type": "object", "properties": {"next one": {"$ref": "#/$defs/node"}, "data": {"type": "object"}}}
    schema = {
        "type": "object",
        "properties": {"user id": {}, "meta": {"type": "object"}, "tree": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]}},
        "$defs": {"node": node},
    }  # fmt: skip
    found = ToolSet.of([{"name": "t", "inputSchema": schema}])
    user, following = replacement_name("user id", 64, ".-"), replacement_name("next one", 64, ".-")
    sent = {user: 1, "meta": {user: 2}, "tree": {following: {following: {"data": {following: 3}}}}}
    original = {"user id": 1, "meta": {user: 2}, "tree": {"next one": {"next one": {"data": {following: 3}}}}}
    assert found.from_api("t", sent) == ("t", original)
    assert found.to_api("t", original) == ("t", sent)
