"""Convert MCP content to content blocks of the Messages API. Pure.

MCP content (https://modelcontextprotocol.io/specification, "Tool Result") is passed in as its wire JSON. Content that
the API refuses or has no block for (audio, other image types, links, binary resources) is described to the model in
text, never dropped.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any, Literal

from pydantic_core import to_json

from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun._util.nesting import MAX_DEPTH
from mcprun.runs.transcript import Call
from mcprun.runs.warn_once import Warn, drop_warning
from mcprun.tools.media import PDF, Unsendable, media_block, size_text, summary_of

REFUSED = "The user refused this call."
"""The result of a call that the user of `mcprun chat` refused.

Replays recognise such results by their text: they must not make these calls, and `expect` must not list them.
"""

NOT_MADE = "This call was not made: the turn was cut short."
"""The result that a chat returns to the model for a call that was never sent. The transcript omits the call."""

STOPPED = "The user stopped this call."


SILENT_ERROR = "(the tool gave no reason)"
"""The text of an empty error result: the API requires some."""

_OPAQUE = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Media types that do not identify a format."""


def tool_result(tool_use_id: str, result: JsonObject, warn: Warn = drop_warning) -> JsonObject:
    """Return the `tool_result` block for an MCP `CallToolResult`.

    Structured content is sent only if there is no other content: servers repeat it as text (MCP, "Structured Content").
    An empty result has no `content`, since the API refuses empty blocks and lists. An error result holds only text, and
    is never empty. Content that has to be described in text is reported to `warn`.
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
    """Return the Messages API blocks for MCP content. Empty text is left out."""
    return [block for item in content if (block := _shown(item, warn))]


def text_only(block: JsonObject, warn: Warn = drop_warning, rule: Literal["error", "role"] = "error") -> JsonObject:
    """Replace an image or document block with a description, where the API accepts only text.

    Other blocks are returned unchanged. `rule` is the reason: an error result, or an assistant message.
    """
    if block.get("type") not in ("image", "document"):
        return block
    holder = "an error result" if rule == "error" else "a message of the assistant"
    found = Unsendable(str(block["type"]), summary_of(block), rule, f"{holder} may hold only text")
    warn(found.rule, found.warning)
    return _text(found.text)


def result_text(content: list[JsonObject]) -> str:
    """Join the text blocks of MCP content, as `$from … match`, checks and the terminal use them."""
    return "\n".join(item["text"] for item in content if item.get("type") == "text")


def error_result(message: str) -> JsonObject:
    """Return the MCP error result for a call that timed out, or whose result is invalid or missing."""
    return {"content": [{"type": "text", "text": message}], "isError": True}


def unsendable(value: Any) -> str | None:
    """Return why a value can't be sent as JSON (NaN, lone surrogates, too deep nesting); None if it can."""
    with suppress(ValueError):  # the fast path accepts most values; the slow one below finds the reason
        data = to_json(value)
        opened = data.count(b"{") + data.count(b"[")
        if opened <= MAX_DEPTH and b"NaN" not in data and b"Infinity" not in data:
            return None
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        return "text with half of a surrogate pair"
    except (ValueError, RecursionError) as error:
        return str(error)
    return f"nested more than {MAX_DEPTH} deep" if levels(value) > MAX_DEPTH else None


def message_block(item: JsonObject, warn: Warn = drop_warning) -> JsonObject | None:
    """Return the Messages API block for an MCP content block in a message; None for empty text.

    An image or a document that the API refuses is described in text. Raises `ValueError` with the name of other content
    that the API has no block for: audio and binary resources.
    """
    sent = _sent(item)
    if isinstance(sent, Unsendable) and not sent.is_picture:
        raise ValueError(f"{sent.noun}: {sent.summary}")
    return _as_text_block(sent, warn) if isinstance(sent, Unsendable) else sent


def _shown(item: JsonObject, warn: Warn) -> JsonObject | None:
    """Return a block for any content, a description if the API has none for it; None for empty text."""
    sent = _sent(item)
    return _as_text_block(sent, warn) if isinstance(sent, Unsendable) else sent


def _as_text_block(found: Unsendable, warn: Warn) -> JsonObject:
    if found.is_picture:  # the API has no block for audio, whatever the server sends: no warning
        warn(found.rule, found.warning)
    return _text(found.text)


def _sent(item: JsonObject) -> JsonObject | Unsendable | None:
    """Return the block for the content, or why the API has none; None for empty text."""
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
    """Return a text, image or document block for a binary resource, or why the API has none."""
    mime = declared.partition(";")[0].strip().lower()
    if mime.startswith("text/") or mime == "application/json":
        with suppress(ValueError):  # not base64 or not UTF-8, despite the declared type
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


def user_refusal(call: Call) -> str:
    """Return the result text of a call that the user refused or stopped; empty for any other call."""
    if not call.is_error:
        return ""
    return next((words for words in (REFUSED, STOPPED) if call.content == error_result(words)["content"]), "")
