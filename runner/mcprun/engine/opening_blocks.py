"""What a conversation begins with that takes something from the server: MCP in, Messages API out. Pure.

The Messages API wants roles that alternate, with the user's first and last. MCP asks nothing of the kind of a prompt's
messages (MCP, "Prompts"), so neighbours of one role become one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from mcprun._util.json_value import JsonObject
from mcprun.runs.warn_once import Warn, drop_warning
from mcprun.tools.results import message_block, text_only


def prompt_messages(result: JsonObject, warn: Warn = drop_warning) -> list[JsonObject]:
    """Return the messages of an MCP `GetPromptResult` (wire form), roles kept; one that holds nothing is left out.

    Pictures that the API refuses are described in words, and `warn` is called. Raises `ValueError` for other content
    without a block, such as audio.
    """
    messages = []
    for number, message in enumerate(result["messages"]):
        role = message["role"]
        try:
            block = message_block(message["content"], warn)
        except ValueError as error:
            raise ValueError(f"message {number} holds what the API does not take: {error}") from None
        if block:
            shown = text_only(block, warn, "role") if role == "assistant" else block
            messages.append({"role": role, "content": [shown]})
    return messages


def resource_blocks(result: JsonObject, warn: Warn = drop_warning) -> list[JsonObject]:
    """Return content blocks for an MCP `ReadResourceResult` (wire form).

    Pictures that the API refuses are described in words, and `warn` is called. Raises `ValueError` for other bytes that
    have no block, and for a result that holds nothing.
    """
    blocks = []
    for contents in result["contents"]:
        try:
            block = message_block({"type": "resource", "resource": contents}, warn)
        except ValueError as error:
            raise ValueError(f"the API does not take {error}") from None
        if block:
            blocks.append(block)
    if not blocks:
        raise ValueError("it holds nothing")
    return blocks


def opening(blocks: list[JsonObject], given: Iterable[JsonObject], prompt: str | list[Any] | None) -> list[JsonObject]:
    """Put together the blocks of resources, the messages of the server's prompt, and what the user says after them.

    Raises `ValueError` where the first or the last of the messages would not be the user's.
    """
    said = [{"role": "user", "content": blocks}, *given, {"role": "user", "content": prompt or []}]
    messages = merged(said)
    if not messages:
        raise ValueError("it holds nothing")
    if messages[0]["role"] != "user":
        raise ValueError("it begins with the assistant, and a conversation begins with the user")
    if messages[-1]["role"] != "user":
        raise ValueError("it ends with the assistant: the query needs a prompt, which is said after it")
    return messages


def merged(messages: Iterable[JsonObject]) -> list[JsonObject]:
    """Make one message of neighbours of the same role; what holds nothing is left out."""
    full = (message for message in messages if message["content"])
    return [
        {"role": role, "content": [block for one in group for block in _blocks(one["content"])]}
        for role, group in groupby(full, key=lambda message: message["role"])
    ]


def _blocks(content: str | list[Any]) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
