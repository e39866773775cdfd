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
def test_api_accepts_every_result(result: dict[str, Any]) -> None:
    """The API accepts the `tool_result` block for any result."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [tool_result("toolu_1", result)]},
    ]
    assert refusal({"model": "m", "max_tokens": 1, "messages": messages}) is None


@given(results)
def test_only_blank_text_is_dropped(result: dict[str, Any]) -> None:
    """Each other block of a result becomes one block. Content without an equivalent is described in text."""
    expected = [item for item in result["content"] if not (item["type"] == "text" and not item["text"].strip())]
    converted = tool_result("t", result).get("content", [])
    is_substituted = not expected and (result.get("structuredContent") is not None or result.get("isError", False))
    assert len(converted) == len(expected) + is_substituted


PDF = pdf()

SVG = base64.b64encode(b"<svg/>  ").decode()

WRONG_FORMAT = "not shown: the API accepts only JPEG, PNG, GIF, WebP and PDF"

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
            {"type": "text", "text": f"[image: image/svg+xml, 8 bytes; {WRONG_FORMAT}]"},
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
            {"type": "text", "text": f"[resource a://b: image/svg+xml, 8 bytes; {WRONG_FORMAT}]"},
        ),
    ],
)  # fmt: skip
def test_content_is_converted_by_type(item: dict[str, Any], block: dict[str, Any]) -> None:
    """Text, images and documents are sent. Other content is described in text."""
    assert tool_result("t", {"content": [item]})["content"] == [block]


def test_error_result_has_only_text() -> None:
    """Images and documents of an error are described. Other content is converted as in any result."""
    content = [
        {"type": "text", "text": "no element"},
        {"type": "image", "data": png(), "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "a://b", "blob": PDF, "mimeType": "application/pdf"}},
        {"type": "audio", "data": SVG, "mimeType": "audio/wav"},
    ]
    warnings: list[str] = []
    converted = tool_result("t", {"content": content, "isError": True}, lambda key, _: warnings.append(key))
    assert [block["text"] for block in converted["content"]] == [
        "no element",
        "[image: image/png, 33 bytes; not shown: an error result may hold only text]",
        "[document: application/pdf, 15 bytes; not shown: an error result may hold only text]",
        f"[audio: audio/wav, 8 bytes; {NO_BLOCK}]",
    ]
    assert warnings == ["error", "error"]


def test_structured_content_is_sent_only_without_other_content() -> None:
    """Servers repeat structured content as text, so the model reads it once."""
    both = {"content": [{"type": "text", "text": '{"a": 1}'}], "structuredContent": {"a": 1}}
    assert tool_result("t", both)["content"] == [{"type": "text", "text": '{"a": 1}'}]
    structured_only = {"content": [], "structuredContent": {"a": "é"}}
    assert tool_result("t", structured_only)["content"] == [{"type": "text", "text": '{"a": "é"}'}]


def test_error_results_have_is_error() -> None:
    """Only an error result has `is_error`. An error without text gets a placeholder."""
    content = [{"type": "text", "text": "no"}]
    assert tool_result("t", {"content": content, "isError": True})["is_error"] is True
    empty = tool_result("t", {"content": [], "isError": True})
    assert empty["content"] == [{"type": "text", "text": "(the tool gave no reason)"}]
    assert "is_error" not in tool_result("t", {"content": content, "isError": False})
