"""What tools answer, as the Messages API takes it. Pure.

MCP content (https://modelcontextprotocol.io/specification, "Tool Result") goes in as the JSON objects of the
wire, content blocks of a `tool_result` come out. What the API has no block for is told to the model in words,
never dropped unseen: audio, other image types, links, binary resources.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

from pydantic_core import to_json

from mcprun.records import JsonObject

MOST_DEPTH = 200
"""Levels of nesting that are sent; the SDKs' own serialisation gives up at 255."""

IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""The image types that the Messages API takes."""


def tool_result(tool_use_id: str, result: JsonObject) -> JsonObject:
    """Make the `tool_result` block that tells the model what an MCP `CallToolResult` holds.

    Structured content is told only where there is no other: servers repeat it as text (MCP, "Structured
    Content"). An empty result has no `content`, since the API refuses empty blocks and lists.
    """
    block: JsonObject = {"type": "tool_result", "tool_use_id": tool_use_id}
    content = blocks(result.get("content", []))
    if not content and result.get("structuredContent") is not None:
        content = [_text(json.dumps(result["structuredContent"], ensure_ascii=False))]
    if result.get("isError"):
        block["is_error"] = True
        content = content or [_text("(the tool gave no reason)")]  # an error must say something, the API holds
    if content:
        block["content"] = content
    return block


def blocks(content: list[JsonObject]) -> list[JsonObject]:
    """Make content blocks of the Messages API of MCP content; what is empty has none."""
    return [told for item in content if (told := _told(item))]


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
    return f"nested more than {MOST_DEPTH} deep" if depth(value) > MOST_DEPTH else None


def message_block(item: JsonObject) -> JsonObject | None:
    """Make the content block of a message that holds what an MCP content block does; `None` for an empty text.

    Raises `ValueError` that names what the API has no block for: audio, other image types, binary resources.
    """
    sent = _sent(item)
    if isinstance(sent, str):
        raise ValueError(sent)
    return sent


def depth(value: Any) -> int:
    """Count the levels of nesting of a JSON value."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return 0
    return 1 + max(map(depth, value), default=0)


def _told(item: JsonObject) -> JsonObject | None:
    """Make a block of any content, of words where there is none for it."""
    sent = _sent(item)
    return _text(f"[{sent}; it can't be shown to the model]") if isinstance(sent, str) else sent


def _sent(item: JsonObject) -> JsonObject | str | None:
    """Make the block that shows the content, or name what can't be shown."""
    match item:
        case {"type": "text", "text": str(text)}:
            return _text(text) if text.strip() else None
        case {"type": "image", "data": str(data), "mimeType": str(mime)}:
            return _binary(data, mime, "image")
        case {"type": "audio", "data": str(data), "mimeType": str(mime)}:
            return f"audio: {mime}, {_size(data)}"
        case {"type": "resource_link", "uri": str(uri)}:
            return _text(_link(uri, item))
        case {"type": "resource", "resource": {"uri": str(uri), "text": str(text)}}:
            return _text(f"[resource {uri}]\n{text}")
        case {"type": "resource", "resource": {"uri": str(uri), "blob": str(blob)} as resource}:
            return _blob(uri, blob, resource.get("mimeType") or "application/octet-stream")
    return _text(f"[content of an unknown type: {json.dumps(item, ensure_ascii=False)}]")


def _link(uri: str, item: JsonObject) -> str:
    facts = [str(item[key]) for key in ("title", "name") if item.get(key)][:1]
    facts += [str(item["mimeType"])] if item.get("mimeType") else []
    facts += [f"{item['size']} bytes"] if item.get("size") is not None else []
    facts += [str(item["description"])] if item.get("description") else []
    return f"[resource link {uri}: {', '.join(facts)}]" if facts else f"[resource link {uri}]"


def _blob(uri: str, blob: str, mime: str) -> JsonObject | str:
    """Show a binary resource as image, document or text where its type allows."""
    if mime.startswith("text/") or mime == "application/json":
        try:
            return _text(f"[resource {uri}]\n{base64.b64decode(blob, validate=True).decode()}")
        except ValueError:  # neither base64 nor UTF-8, whatever the server says
            pass
    return _binary(blob, mime, f"resource {uri}")


def _binary(data: str, mime: str, what: str) -> JsonObject | str:
    kind = "image" if mime in IMAGE_TYPES else "document" if mime == "application/pdf" else None
    if kind and _is_base64(data):
        return {"type": kind, "source": {"type": "base64", "media_type": mime, "data": data}}
    return f"{what}: {mime}, {_size(data)}"


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except ValueError:
        return False


def _size(data: str) -> str:
    return f"{len(data.rstrip('=')) * 3 // 4} bytes"


def _text(text: Any) -> JsonObject:
    return {"type": "text", "text": text}
