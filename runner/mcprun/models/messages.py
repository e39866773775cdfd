"""Turn a conversation into the `messages` of a request; omit or reword content that the Messages API refuses.

The transcript keeps the original. The API refuses blank text, even its own (`text content blocks must be non-empty`),
error results that hold more than text, images that it can't read, and too many images. Every message of a request
passes through `make_sendable`, whether it comes from the model, a server, a prompts file or a recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.runs.warn_once import Warn
from mcprun.tools.media import MANY, MAX_MEDIA, MAX_TOTAL, Rule, Unsendable, is_large, media_block, summary_of
from mcprun.tools.results import SILENT_ERROR, text_only

_THINKING = frozenset({"thinking", "redacted_thinking"})
_MEDIA = frozenset({"image", "document"})


def make_sendable(messages: Sequence[JsonObject], warn: Warn) -> list[JsonObject]:
    """Return messages that the API accepts. The arguments are not changed; unchanged messages stay the same objects.

    Empty messages are omitted, and the user's messages around them are merged. `warn` is called for content that is
    replaced by a description.
    """
    sent: list[JsonObject] = []
    for message in messages:
        content = _content(message["content"], message["role"], warn)
        if not content:
            continue
        kept = message if content is message["content"] else {**message, "content": content}
        if sent and sent[-1]["role"] == kept["role"] == "user":
            sent[-1] = {**kept, "content": [*_blocks(sent[-1]["content"]), *_blocks(kept["content"])]}
        else:
            sent.append(kept)
    return _limit_media(_trim_final_message(sent), warn)


def _content(content: Any, role: str, warn: Warn) -> Any:
    """Return the content of a message; empty if none of it can be sent."""
    if isinstance(content, str):
        return content if content.strip() else ""
    kept = [block for one in content if (block := _block(one, role, warn))]
    is_same = len(kept) == len(content) and all(map(_is, kept, content))
    return content if is_same else kept


def _block(block: JsonObject, role: str, warn: Warn) -> JsonObject | None:
    """Return a block in a form that the API accepts, or None for blank text."""
    match block.get("type"):
        case "text":
            return block if str(block.get("text", "")).strip() else None
        case "image" | "document" if role == "assistant":
            return _copy_mark(block, text_only(block, warn, "role"))
        case "image" | "document":
            return _copy_mark(block, _media(block, warn))
        case "tool_result":
            return _result(block, warn)
    return block


def _result(block: JsonObject, warn: Warn) -> JsonObject:
    """Return a `tool_result`, which is sent even if it is empty: the API refuses a `tool_use` without one."""
    content = _content(block.get("content") or "", "user", warn)
    if block.get("is_error"):
        content = [text_only(one, warn) for one in _blocks(content)] or SILENT_ERROR
        if _blocks(content) == _blocks(block.get("content") or ""):
            return block
    if content is block.get("content"):
        return block
    rest = {key: value for key, value in block.items() if key != "content"}
    return {**rest, "content": content} if content else rest


def _media(block: JsonObject, warn: Warn) -> JsonObject:
    """Return an image or document block that the API accepts, or a text block that describes it."""
    kind = str(block["type"])
    source: Any = block.get("source")
    found: JsonObject | Unsendable
    match source:
        case {"type": "base64", "data": str(data)}:
            found = media_block(data, str(source.get("media_type") or ""), kind)
        case {"type": "url", "url": str(url)} if url[:5].lower() == "data:":
            found = media_block(url, "", kind)
        case {"type": "url", "url": str(url)} if url.lower().startswith(("http://", "https://")):
            return block
        case {"type": "file", "file_id": str()}:
            return block
        case {"type": "text", "data": str(data)} if kind == "document" and data.strip():
            return block
        case {"type": "content", "content": str() | list() as held} if kind == "document":
            content = _content(held, "user", warn)
            if content is held:
                return block
            if content:
                return {**block, "source": {**source, "content": content}}
            found = Unsendable(kind, "no content", "data", "it is empty")
        case _:
            found = Unsendable(kind, summary_of(block), "data", "it has no source that the API accepts")
    if isinstance(found, Unsendable):
        warn(found.rule, found.warning)
        return {"type": "text", "text": found.text}
    return block if found["type"] == kind and found["source"] == source else {**block, **found}


def _copy_mark(block: JsonObject, sent: JsonObject) -> JsonObject:
    """Copy the `cache_control` of a block to the one that replaces it."""
    if sent is not block and block.get("cache_control"):
        return {**sent, "cache_control": block["cache_control"]}
    return sent


def _trim_final_message(messages: list[JsonObject]) -> list[JsonObject]:
    """Trim a final message of the assistant, which the model continues.

    It must not end in whitespace (`final assistant content cannot end with trailing whitespace`) or in thinking.
    """
    if not messages or messages[-1]["role"] != "assistant":
        return messages
    *before, last = messages
    content = list(_blocks(last["content"]))
    while content and content[-1].get("type") in _THINKING:
        content.pop()
    if not content:  # the assistant may have paused in the message before
        return _trim_final_message(before)
    if content[-1].get("type") == "text":
        content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}
    return messages if content == last["content"] else [*before, {**last, "content": content}]


def _limit_media(messages: list[JsonObject], warn: Warn) -> list[JsonObject]:
    """Replace images and documents by descriptions, oldest first, until a request is within the API's limits.

    Conversations grow, so any turn may bring one image too many.
    """
    found = [block for message in messages for block in _media_in(message["content"])]
    dropped: dict[int, Unsendable] = {}

    def drop(block: JsonObject, rule: Rule, reason: str) -> None:
        dropped[id(block)] = Unsendable(str(block["type"]), summary_of(block), rule, reason)

    for block in found[: max(0, len(found) - MAX_MEDIA)]:
        drop(block, "count", f"the API accepts at most {MAX_MEDIA} images and documents in a request")
    left = [block for block in found if id(block) not in dropped]
    total = sum(map(_length, left))
    while total > MAX_TOTAL:
        block = left.pop(0)
        total -= _length(block)
        drop(block, "size", "the API accepts at most 32 MB in a request")
    images = [block for block in left if block["type"] == "image"]
    large = [block for block in images if is_large(block)] if len(images) > MANY else []
    for block in large[: len(images) - MANY]:
        drop(block, "dimensions", f"the API accepts at most 2000 pixels a side among more than {MANY} images")
    if not dropped:
        return messages
    for one in dropped.values():
        warn(one.rule, one.warning)
    return [{**message, "content": _replace_dropped(message["content"], dropped)} for message in messages]


def _length(block: JsonObject) -> int:
    data = block["source"].get("data")
    return len(data) if isinstance(data, str) else 0


def _media_in(content: Any) -> Iterator[JsonObject]:
    """Yield all images and documents in content, including those in tool results and documents."""
    for block in content if isinstance(content, list) else ():
        if block.get("type") in _MEDIA:
            yield block
        if block.get("type") == "tool_result":
            yield from _media_in(block.get("content"))
        elif block.get("type") == "document":
            yield from _media_in(block["source"].get("content"))


def _replace_dropped(content: Any, dropped: dict[int, Unsendable]) -> Any:
    """Return content with dropped blocks replaced by their descriptions."""
    if not isinstance(content, list):
        return content
    kept = []
    for block in content:
        if one := dropped.get(id(block)):
            block = _copy_mark(block, {"type": "text", "text": one.text})
        elif block.get("type") == "tool_result" and isinstance(block.get("content"), list):
            block = {**block, "content": _replace_dropped(block["content"], dropped)}
        elif block.get("type") == "document" and isinstance(block["source"].get("content"), list):
            source = block["source"]
            block = {**block, "source": {**source, "content": _replace_dropped(source["content"], dropped)}}
        kept.append(block)
    return kept


def _blocks(content: Any) -> list[JsonObject]:
    """Return content as blocks; an empty string has none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def _is(one: object, other: object) -> bool:
    return one is other
