"""MCP content as content blocks of the Messages API. Pure.

MCP content (https://modelcontextprotocol.io/specification, "Tool Result") goes in as the JSON objects of the wire.
Content that the API has no block for, or refuses, is described to the model in words and never dropped: audio, other
image types, links, binary resources.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any, Literal

from pydantic_core import to_json

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun._util.nesting import MOST_DEPTH
from mcprun.runs.warn_once import Warn, drop_warning
from mcprun.tools.media import PDF, Unsendable, media_block, size_text, summary_of

SILENT_ERROR = "(the tool gave no reason)"
"""The text of an error result that holds nothing: the API requires some."""

_OPAQUE = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Media types that say nothing of the bytes."""


def tool_result(tool_use_id: str, result: JsonObject, warn: Warn = drop_warning) -> JsonObject:
    """Return the `tool_result` block that shows the model an MCP `CallToolResult`.

    Structured content is sent only where there is no other: servers repeat it as text (MCP, "Structured Content"). An
    empty result has no `content`, since the API refuses empty blocks and lists. An error result holds text alone, and
    at least some. Content that has to be described in words is reported to `warn`.
    """
    block: JsonObject = {"type": "tool_result", "tool_use_id": tool_use_id}
    content = blocks(result.get("content", []), warn)
    if not content and result.get("structuredContent") is not None:
        content = [_text(json.dumps(result["structuredContent"], ensure_ascii=False))]
    if result.get("isError"):
        block["is_error"] = True
        content = [text_only(item, warn) for item in content] or [_text(SILENT_ERROR)]
    if content:
        block["content"] = content
    return block


def blocks(content: list[JsonObject], warn: Warn = drop_warning) -> list[JsonObject]:
    """Return content blocks of the Messages API for MCP content; empty text has none."""
    return [block for item in content if (block := _shown(item, warn))]


def text_only(block: JsonObject, warn: Warn = drop_warning, rule: Literal["error", "role"] = "error") -> JsonObject:
    """Describe an image or document block where the API accepts only text; other blocks stay as they are."""
    if block.get("type") not in ("image", "document"):
        return block
    holder = "an error result" if rule == "error" else "a message of the assistant"
    found = Unsendable(str(block["type"]), summary_of(block), rule, f"{holder} may hold only text")
    warn(found.rule, found.warning)
    return _text(found.words)


def result_text(content: list[JsonObject]) -> str:
    """Join the text of MCP content; `$from … match`, checks and terminals read it."""
    return "\n".join(item["text"] for item in content if item.get("type") == "text")


def error_result(message: str) -> JsonObject:
    """Make the MCP result that stands for a call which brought none: a time-out, an invalid or missing one."""
    return {"content": [{"type": "text", "text": message}], "isError": True}


def unsendable(value: Any) -> str | None:
    """Say why a value can't go over the wire as JSON: numbers that are none, broken text, endless nesting."""
    with suppress(ValueError):  # what is plainly in order is told quickly; of the rest, the slow way knows more
        data = to_json(value)
        opened = data.count(b"{") + data.count(b"[")
        if opened <= MOST_DEPTH and b"NaN" not in data and b"Infinity" not in data:
            return None
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "text with half of a surrogate pair"
    except (ValueError, RecursionError) as error:
        return str(error)
    return f"nested more than {MOST_DEPTH} deep" if levels(value) > MOST_DEPTH else None


def message_block(item: JsonObject, warn: Warn = drop_warning) -> JsonObject | None:
    """Return the content block for an MCP content block in a message; None for an empty text.

    An image or a document that the API refuses is described in words. Raises `ValueError` that names other content
    without a block of its own: audio and binary resources.
    """
    sent = _sent(item)
    if isinstance(sent, Unsendable) and not sent.is_picture:
        raise ValueError(f"{sent.what}: {sent.summary}")
    return _in_words(sent, warn) if isinstance(sent, Unsendable) else sent


def _shown(item: JsonObject, warn: Warn) -> JsonObject | None:
    """Return a block for any content, of words where the API has none for it; None for an empty text."""
    sent = _sent(item)
    return _in_words(sent, warn) if isinstance(sent, Unsendable) else sent


def _in_words(found: Unsendable, warn: Warn) -> JsonObject:
    if found.is_picture:  # that audio has no block is known of every client, and needs no warning
        warn(found.rule, found.warning)
    return _text(found.words)


def _sent(item: JsonObject) -> JsonObject | Unsendable | None:
    """Return the block that shows the content, or why there is none."""
    match item:
        case {"type": "text", "text": str(text)}:
            return _text(text) if text.strip() else None
        case {"type": "image", "data": str(data)}:
            return media_block(data, str(item.get("mimeType") or ""), "image")
        case {"type": "audio", "data": str(data), "mimeType": str(mime)}:
            return _without_block(data, mime, "audio")
        case {"type": "resource_link", "uri": str(uri)}:
            return _text(_link(uri, item))
        case {"type": "resource", "resource": {"uri": str(uri), "text": str(text)}}:
            return _text(f"[resource {uri}]\n{text}")
        case {"type": "resource", "resource": {"uri": str(uri), "blob": str(blob)} as resource}:
            return _blob(uri, blob, str(resource.get("mimeType") or ""))
    return _text(f"[content of an unknown type: {json.dumps(item, ensure_ascii=False)}]")


def _link(uri: str, item: JsonObject) -> str:
    facts = [str(item[key]) for key in ("title", "name") if item.get(key)][:1]
    facts += [str(item["mimeType"])] if item.get("mimeType") else []
    facts += [f"{item['size']} bytes"] if item.get("size") is not None else []
    facts += [str(item["description"])] if item.get("description") else []
    return f"[resource link {uri}: {', '.join(facts)}]" if facts else f"[resource link {uri}]"


def _blob(uri: str, blob: str, declared: str) -> JsonObject | Unsendable:
    """Show a binary resource as text, image or document where its bytes allow."""
    mime = declared.partition(";")[0].strip().lower()
    if mime.startswith("text/") or mime == "application/json":
        with suppress(ValueError):  # neither base64 nor UTF-8, whatever the server declares
            return _text(f"[resource {uri}]\n{base64.b64decode(blob, validate=True).decode()}")
    if mime.startswith("image/") or mime == PDF or mime in _OPAQUE:
        found = media_block(blob, declared, f"resource {uri}")
        if mime not in _OPAQUE or not isinstance(found, Unsendable) or found.is_picture:
            return found
    return _without_block(blob, declared or "application/octet-stream", f"resource {uri}")


def _without_block(data: str, mime: str, what: str) -> Unsendable:
    size = size_text(len(data.rstrip("=")) * 3 // 4)
    return Unsendable(what, f"{mime}, {size}", "type", "the API has no block for it")


def _text(text: Any) -> JsonObject:
    return {"type": "text", "text": text}
