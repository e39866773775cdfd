"""Place the caching marks (`cache_control`) of a request, so that the prefix of a growing conversation is read cheaply.

The Messages API and Foundry accept `cache_control` for the whole request, and place the mark themselves. Bedrock and
Vertex AI refuse it there (400, "Extra inputs are not permitted") and accept it on a block
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching). All accept another mark after the tools, which
all queries share: only what ends at a mark is written to the cache, and no other query could reuse what ends after this
one's prompt.

A request may hold four marks in all. The query's own come first: mcprun omits its own if they leave no room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from mcprun._util.json_value import JsonObject
from mcprun.limits import MAX_CACHE_MARKS
from mcprun.models.base import ModelSettings
from mcprun.models.providers import Cloud

Caching = Literal["request", "block", "none"]

_MARK = {"cache_control": {"type": "ephemeral"}}


def caching(cloud: Cloud | None, settings: ModelSettings) -> Caching:
    """Return where the API accepts the mark: on the request, on a block, or nowhere if the endpoint is `bare`."""
    if settings.bare:
        return "none"
    return "block" if cloud and cloud.kind in ("bedrock", "vertex") else "request"


def marks_in(messages: Any) -> Iterator[JsonObject]:
    """Yield the caching marks of messages or blocks in order, including those in tool results and documents."""
    if isinstance(messages, list | tuple):
        for item in messages:
            yield from marks_in(item)
    elif isinstance(messages, dict):
        for key in ("content", "source"):
            yield from marks_in(messages.get(key))
        if isinstance(mark := messages.get("cache_control"), dict):
            yield mark


def cached(messages: Sequence[JsonObject], tools: Sequence[JsonObject], where: Caching) -> JsonObject:
    """Return the parameters `messages`, `tools` and `cache_control` of a request. The arguments are not changed.

    The mark at the end of the conversation takes precedence over the one after the tools: the marks of a query that has
    its own already cache the tools.
    """
    query_marks = list(marks_in(list(messages)))
    room = MAX_CACHE_MARKS - len(query_marks)
    parameters: JsonObject = {"messages": list(messages)}
    if where != "none" and room > 0 and not _ends_marked(messages):
        parameters |= _MARK if where == "request" else {"messages": _mark_last_block(messages)}
        room -= 1
    if tools:
        # Marks with a longer ttl must come first in a request, and tools come before messages.
        is_free = where != "none" and room > 0 and not any(mark.get("ttl") == "1h" for mark in query_marks)
        parameters["tools"] = [*tools[:-1], {**tools[-1], **_MARK} if is_free else tools[-1]]
    return parameters


def _ends_marked(messages: Sequence[JsonObject]) -> bool:
    """Return whether the last block has a mark, since the API refuses a second one there with another ttl."""
    content = messages[-1]["content"] if messages else ""
    return isinstance(content, list) and bool(content[-1].get("cache_control"))


def _mark_last_block(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """Return messages with a mark on the last block of the user's last message."""
    marked = list(messages)
    place = max((place for place, message in enumerate(marked) if message["role"] == "user"), default=None)
    if place is None:
        return marked
    content = marked[place]["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
    if not blocks[-1].get("cache_control"):
        blocks[-1] = {**blocks[-1], **_MARK}
    marked[place] = {**marked[place], "content": blocks}
    return marked
