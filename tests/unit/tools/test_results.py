"""MCP content, converted to blocks that the Messages API accepts."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.tools.results import tool_result
from tests.support.content_strategies import blocks
from tests.support.messages_rules import refusal
from tests.support.pictures import pdf, png

results = st.fixed_dictionaries(
    {"content": st.lists(blocks, max_size=4)},
    optional={"isError": st.booleans(), "structuredContent": st.none() | st.integers() | st.just({"a": None})},
)


@given(results)
def test_the_api_takes_every_result(result: dict[str, Any]) -> None:
    """Whatever a tool answers, the block that tells it is one that the API does not refuse."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [tool_result("toolu_1", result)]},
    ]
    assert refusal({"model": "m", "max_tokens": 1, "messages": messages}) is None


@given(results)
def test_nothing_but_blank_text_is_dropped(result: dict[str, Any]) -> None:
    """Each block of a result is told as one block; what has no block of its own is told in words."""
    expected = [item for item in result["content"] if not (item["type"] == "text" and not item["text"].strip())]
    reported = tool_result("t", result).get("content", [])
    made_up = not expected and (result.get("structuredContent") is not None or result.get("isError", False))
    assert len(reported) == len(expected) + made_up


PDF = pdf()

SVG = base64.b64encode(b"<svg/>  ").decode()

ONLY = "not shown: the API accepts only JPEG, PNG, GIF, WebP and PDF"

NO_BLOCK = "not shown: the API has no block for it"


@pytest.mark.parametrize(
    ("item", "block"),
    [
        ({"type": "text", "text": "hi", "annotations": {"priority": 1}}, {"type": "text", "text": "hi"}),
        (
            {"type": "image", "data": png(), "mimeType": "image/png"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png()}},
        ),
        (
            {"type": "image", "data": PDF, "mimeType": "image/png"},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        ),
        (
            {"type": "image", "data": SVG, "mimeType": "image/svg+xml"},
            {"type": "text", "text": f"[image: image/svg+xml, 8 bytes; {ONLY}]"},
        ),
        (
            {"type": "audio", "data": SVG, "mimeType": "audio/wav"},
            {"type": "text", "text": f"[audio: audio/wav, 8 bytes; {NO_BLOCK}]"},
        ),
        (
            {"type": "resource_link", "uri": "a://b", "name": "n", "mimeType": "x/y", "size": 3, "description": "d"},
            {"type": "text", "text": "[resource link a://b: n, x/y, 3 bytes, d]"},
        ),
        (
            {"type": "resource", "resource": {"uri": "a://b", "text": "t"}},
            {"type": "text", "text": "[resource a://b]\nt"},
        ),
        (
            {"type": "resource", "resource": {"uri": "a://b", "blob": PDF, "mimeType": "application/pdf"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        ),
        (
            {"type": "resource", "resource": {"uri": "a://b", "blob": base64.b64encode(b"hey").decode(), "mimeType": "text/x"}},
            {"type": "text", "text": "[resource a://b]\nhey"},
        ),
        (
            {"type": "resource", "resource": {"uri": "a://b", "blob": base64.b64encode(b"{}").decode(), "mimeType": "application/json"}},
            {"type": "text", "text": "[resource a://b]\n{}"},
        ),
        (
            {"type": "resource", "resource": {"uri": "a://b", "blob": PDF}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        ),
        (
            {"type": "resource", "resource": {"uri": "a://b", "blob": SVG}},
            {"type": "text", "text": f"[resource a://b: application/octet-stream, 8 bytes; {NO_BLOCK}]"},
        ),
        (
            {"type": "resource", "resource": {"uri": "a://b", "blob": SVG, "mimeType": "image/svg+xml"}},
            {"type": "text", "text": f"[resource a://b: image/svg+xml, 8 bytes; {ONLY}]"},
        ),
    ],
)  # fmt: skip
def test_each_kind_of_content(item: dict[str, Any], block: dict[str, Any]) -> None:
    """Text, images and documents are shown, everything else is told in words."""
    assert tool_result("t", {"content": [item]})["content"] == [block]


def test_an_error_result_is_text_alone() -> None:
    """Pictures and documents of an error are described, and everything else stands as it does in any result."""
    content = [
        {"type": "text", "text": "no element"},
        {"type": "image", "data": png(), "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "a://b", "blob": PDF, "mimeType": "application/pdf"}},
        {"type": "audio", "data": SVG, "mimeType": "audio/wav"},
    ]
    warnings: list[str] = []
    case = tool_result("t", {"content": content, "isError": True}, lambda key, _: warnings.append(key))
    assert [block["text"] for block in case["content"]] == [
        "no element",
        "[image: image/png, 33 bytes; not shown: an error result may hold only text]",
        "[document: application/pdf, 15 bytes; not shown: an error result may hold only text]",
        f"[audio: audio/wav, 8 bytes; {NO_BLOCK}]",
    ]
    assert warnings == ["error", "error"]


def test_structured_content_is_told_only_where_there_is_no_other() -> None:
    """Servers repeat structured content as text: the model reads it once."""
    both = {"content": [{"type": "text", "text": '{"a": 1}'}], "structuredContent": {"a": 1}}
    assert tool_result("t", both)["content"] == [{"type": "text", "text": '{"a": 1}'}]
    alone = {"content": [], "structuredContent": {"a": "é"}}
    assert tool_result("t", alone)["content"] == [{"type": "text", "text": '{"a": "é"}'}]


def test_errors_are_marked() -> None:
    """An error result is an error to the model, and any other has no mark at all."""
    content = [{"type": "text", "text": "no"}]
    assert tool_result("t", {"content": content, "isError": True})["is_error"] is True
    silent = tool_result("t", {"content": [], "isError": True})
    assert silent["content"] == [{"type": "text", "text": "(the tool gave no reason)"}]
    assert "is_error" not in tool_result("t", {"content": content, "isError": False})
