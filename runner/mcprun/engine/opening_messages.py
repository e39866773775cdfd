"""Convert MCP prompts and resources into the opening messages of a conversation, for the Messages API. Pure.

The Messages API requires alternating roles, starting and ending with the user. MCP does not require that of a prompt's
messages (MCP, "Prompts"), so adjacent messages of the same role are merged.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.runs.warn_once import Warn, drop_warning
from mcprun.tools.results import message_block, text_only


def prompt_messages(result: JsonObject, warn: Warn = drop_warning) -> list[JsonObject]:
    """Return the messages of an MCP `GetPromptResult` (wire form), with their roles. Empty ones are left out.

    Images that the API refuses are replaced by a description, and `warn` is called. Raises `ValueError` for other
    content that has no block in the Messages API, such as audio.
    """
    messages = []
    for number, message in enumerate(result["messages"]):
        role = message["role"]
        try:
            block = message_block(message["content"], warn)
        except ValueError as error:
            raise ValueError(f"message {number} has content that the API does not accept: {error}") from None
        if block:
            content = text_only(block, warn, "role") if role == "assistant" else block
            messages.append({"role": role, "content": [content]})
    return messages


def resource_blocks(result: JsonObject, warn: Warn = drop_warning) -> list[JsonObject]:
    """Return content blocks for an MCP `ReadResourceResult` (wire form).

    Images that the API refuses are replaced by a description, and `warn` is called. Raises `ValueError` for other
    binary content, which has no block in the Messages API, and for an empty result.
    """
    blocks = []
    for contents in result["contents"]:
        try:
            block = message_block({"type": "resource", "resource": contents}, warn)
        except ValueError as error:
            raise ValueError(f"the API does not accept {error}") from None
        if block:
            blocks.append(block)
    if not blocks:
        raise ValueError("it is empty")
    return blocks


def opening(blocks: list[JsonObject], given: Iterable[JsonObject], prompt: str | list[Any] | None) -> list[JsonObject]:
    """Return opening messages: the blocks of resources, the messages of the server's prompt, and the query's prompt.

    Raises `ValueError` if they are empty, or if the first or last one is not the user's.
    """
    parts = [{"role": "user", "content": blocks}, *given, {"role": "user", "content": prompt or []}]
    messages = merge_messages(parts)
    if not messages:
        raise ValueError("it is empty")
    if messages[0]["role"] != "user":
        raise ValueError("it starts with an assistant message, but a conversation must start with the user")
    if messages[-1]["role"] != "user":
        raise ValueError("it ends with an assistant message: add a `prompt` to the query, which is sent after it")
    return messages


def merge_messages(messages: Iterable[JsonObject]) -> list[JsonObject]:
    """Merge adjacent messages of the same role, and leave out empty ones."""
    non_empty = (message for message in messages if message["content"])
    return [
        {"role": role, "content": [block for one in group for block in _blocks(one["content"])]}
        for role, group in groupby(non_empty, key=lambda message: message["role"])
    ]


def _blocks(content: str | list[Any]) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
