"""What a server asks of a model (MCP, "Sampling"), as the Messages API takes it, and the way back. Pure."""

from __future__ import annotations

from mcprun.content import blocks
from mcprun.records import JsonObject

_REASONS = {"end_turn": "endTurn", "max_tokens": "maxTokens", "stop_sequence": "stopSequence"}
"""Stop reasons of the Messages API, and what MCP calls them; others go over the wire as they are."""


def problem_of(request: JsonObject) -> str | None:
    """Say why a request (the `params` of `sampling/createMessage`) is not taken, if it isn't.

    Whoever has not declared `sampling.tools` must refuse requests with tools (MCP, "Sampling with Tools").
    """
    if request.get("tools") or request.get("toolChoice"):
        return "sampling with tools is not supported"
    return None if messages_of(request) else "there is nothing in the messages to answer"


def messages_of(request: JsonObject) -> list[JsonObject]:
    """Give the messages in the shape of the Messages API; what it has no block for is told in words."""
    told = []
    for message in request["messages"]:
        content = message["content"]
        if said := blocks(content if isinstance(content, list) else [content]):
            told.append({"role": message["role"], "content": said})
    return told


def result_of(content: list[JsonObject], model: str, stop_reason: str) -> JsonObject:
    """Make the `CreateMessageResult` of a reply: its content blocks, who replied, and why it stopped."""
    text = "".join(block["text"] for block in content if block.get("type") == "text")
    return {
        "role": "assistant",
        "content": {"type": "text", "text": text},
        "model": model,
        "stopReason": _REASONS.get(stop_reason, stop_reason),
    }
