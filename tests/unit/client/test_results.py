"""Invalid results: each problem is reported with type and key, and valid parts are kept."""

from __future__ import annotations

from typing import Any

import pytest

from mcprun.client.results import read_call, read_prompt, read_resource

FINE = {"type": "text", "text": "fine"}

PNG = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}

AUDIO = {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}

LINK = {"type": "resource_link", "uri": "x://y", "name": "y"}

RESOURCE = {"type": "resource", "resource": {"uri": "x://y", "text": "hi"}}

BLOB = {"type": "resource", "resource": {"uri": "x://y", "blob": "AAAA"}}


def without(block: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the block without a key."""
    return {name: value for name, value in block.items() if name != key}


UNREADABLE: tuple[tuple[Any, str], ...] = (
    (without(PNG, "data"), "content[1] (image): data is missing"),
    (without(PNG, "mimeType"), "content[1] (image): mimeType is missing"),
    ({**PNG, "data": None}, "content[1] (image): data is null, not text"),
    ({**PNG, "mimeType": ["image/png"]}, "content[1] (image): mimeType is a list, not text"),
    (without(AUDIO, "data"), "content[1] (audio): data is missing"),
    ({"type": "text"}, "content[1] (text): text is missing"),
    ({"type": "text", "text": 5}, "content[1] (text): text is a number, not text"),
    ({"type": "text", "text": {"a": 1}}, "content[1] (text): text is an object, not text"),
    (without(LINK, "name"), "content[1] (resource_link): name is missing"),
    (without(LINK, "uri"), "content[1] (resource_link): uri is missing"),
    ({"type": "resource"}, "content[1] (resource): resource is missing"),
    ({"type": "resource", "resource": "x://y"}, "content[1] (resource): resource is text, not an object"),
    ({"type": "resource", "resource": {"text": "hi"}}, "content[1] (resource): resource.uri is missing"),
    ({"type": "resource", "resource": {"uri": "x://y"}}, "content[1] (resource): resource.text or blob is missing"),
    ({"type": "resource", "resource": {"uri": "x://y", "text": 1}}, "content[1] (resource): resource.text is a number, not text"),
    ({"type": "resource", "resource": {"uri": "x://y", "blob": True}}, "content[1] (resource): resource.blob is true, not text"),
    ({"type": "json", "json": {"a": 1}}, "content[1] (json): unknown type in {\"type\": \"json\", \"json\": {\"a\": 1}}"),
    ({"type": "tool_use", "id": "1", "name": "t", "input": {}}, "content[1] (tool_use): unknown type"),
    ({"text": "hi"}, "content[1].type is missing"),
    ({"type": None, "text": "hi"}, "content[1].type is null, not text"),
    ("hi", "content[1] is text, not an object"),
    (None, "content[1] is null, not an object"),
    ([FINE], "content[1] is a list, not an object"),
)  # fmt: skip

USABLE: tuple[tuple[dict[str, Any], str, str], ...] = (
    (FINE, "annotations", "content[1] (text): annotations is text, not an object"),
    (FINE, "_meta", "content[1] (text): _meta is text, not an object"),
    (PNG, "annotations", "content[1] (image): annotations is text, not an object"),
    (LINK, "size", "content[1] (resource_link): size is text, not a whole number"),
    (LINK, "icons", "content[1] (resource_link): icons is text, not a list"),
    (RESOURCE, "annotations", "content[1] (resource): annotations is text, not an object"),
)

WRONG_LISTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "content is missing"),
    ({"isError": True}, "content is missing"),
    ({"content": None}, "content is null, not a list"),
    ({"content": "hi"}, "content is text, not a list"),
    ({"content": FINE}, "content is an object, not a list"),
    ({"content": [], "isError": "yes"}, "isError is text, not true or false"),
    ({"content": [], "isError": 1}, "isError is a number, not true or false"),
    ({"content": [], "_meta": 5}, "_meta is a number, not an object"),
    ({"content": [], "_meta": []}, "_meta is a list, not an object"),
)


@pytest.mark.parametrize("is_modern", [False, True])
@pytest.mark.parametrize(("block", "problem"), UNREADABLE, ids=str)
def test_malformed_block_is_reported_and_the_others_are_kept(*, is_modern: bool, block: Any, problem: str) -> None:
    """The problem has the block's type and key. The result becomes an error whose last text gives the reason."""
    reading = read_call({"content": [FINE, block, PNG]}, is_modern=is_modern)
    assert len(reading.problems) == 1
    assert reading.problems[0].startswith(problem)
    *kept, note = reading.result["content"]
    assert (kept, reading.result["isError"]) == ([FINE, PNG], True)
    assert note["text"].startswith(f"The server sent an invalid result: {problem}")


@pytest.mark.parametrize(("block", "key", "problem"), USABLE, ids=str)
def test_malformed_optional_key_is_dropped(block: Any, key: str, problem: str) -> None:
    """The block is kept, the problem is reported, and the result becomes an error."""
    reading = read_call({"content": [FINE, {**block, key: "odd"}]}, is_modern=True)
    assert (reading.result["content"][:2], reading.problems) == ([FINE, block], (problem,))
    assert reading.result["isError"] is True


@pytest.mark.parametrize("is_modern", [False, True])
@pytest.mark.parametrize(("result", "problem"), WRONG_LISTS, ids=str)
def test_malformed_result_is_reported(*, is_modern: bool, result: dict[str, Any], problem: str) -> None:
    """The problem has the key and the actual type."""
    reading = read_call(result, is_modern=is_modern)
    assert reading.problems == (problem,)
    assert reading.result["content"] == [{"type": "text", "text": f"The server sent an invalid result: {problem}."}]


@pytest.mark.parametrize("is_modern", [False, True])
def test_valid_result_is_unchanged(*, is_modern: bool) -> None:
    """All content types, unknown keys, and structured content alone are valid."""
    content = [{**FINE, "new": 1}, PNG, AUDIO, LINK, RESOURCE, BLOB]
    valid = {"content": content, "isError": False, "structuredContent": {"a": 1}, "_meta": {"b": 2}}
    assert (read_call(valid, is_modern=is_modern).problems, read_call(valid, is_modern=is_modern).result) == ((), valid)
    structured_only = read_call({"structuredContent": {"a": 1}}, is_modern=is_modern)
    assert (structured_only.problems, structured_only.result) == ((), {"structuredContent": {"a": 1}, "content": []})


@pytest.mark.parametrize("value", [[1], "text", 5, False])
def test_structured_content_may_be_any_value_since_2026(value: Any) -> None:
    """Before, it had to be an object (MCP 2025-11-25, "Structured Content")."""
    result = {"content": [FINE], "structuredContent": value}
    assert read_call(result, is_modern=True).problems == ()
    (problem,) = read_call(result, is_modern=False).problems
    assert problem.startswith("structuredContent is ")
    assert read_call({"structuredContent": None}, is_modern=True).problems == ()
    assert read_call({"structuredContent": None}, is_modern=False).problems == ("content is missing",)


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"role": "user", "content": without(PNG, "data")}, "messages[1].content (image): data is missing"),
        ({"role": "user", "content": {"type": "json"}}, "messages[1].content (json): unknown type"),
        ({"role": "user", "content": [FINE]}, "messages[1].content is a list, not an object"),
        ({"role": "user"}, "messages[1].content is missing"),
        ({"role": "chorus", "content": FINE}, 'messages[1].role is "chorus", not user or assistant'),
        ({"role": 5, "content": FINE}, "messages[1].role is a number"),
        ({"content": FINE}, "messages[1].role is missing"),
        ("hi", "messages[1] is text, not an object"),
    ],
)
def test_malformed_prompt_message_is_reported(message: Any, problem: str) -> None:
    """The other messages are kept. A text replaces malformed content if the role is valid."""
    good = {"role": "user", "content": FINE}
    reading = read_prompt({"messages": [good, message, good]})
    assert len(reading.problems) == 1
    assert reading.problems[0].startswith(problem)
    kept = reading.result["messages"]
    assert (kept[0], kept[-1], len(kept)) == (good, good, 3 if "content" in problem else 2)
    assert read_prompt({"messages": [message]}).result["messages"] == []


@pytest.mark.parametrize("value", [None, "x", {}, 5])
def test_missing_or_invalid_lists_are_reported(value: Any) -> None:
    """`messages` of prompts and `contents` of resources must be lists."""
    assert read_prompt({}).problems == ("messages is missing",)
    assert read_resource({}).problems == ("contents is missing",)
    assert read_prompt({"messages": value}).problems[0].startswith("messages is ")
    assert read_resource({"contents": value}).problems[0].startswith("contents is ")
    assert read_resource({"contents": [{"uri": "a:b", "text": "x"}, value]}).problems[0].startswith("contents[1]")
