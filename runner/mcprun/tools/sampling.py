"""Convert sampling requests of a server (MCP, "Sampling") to the Messages API, and replies back. Pure."""

from __future__ import annotations

from mcprun._util.json_value import JsonObject
from mcprun.tools.results import blocks, text_only

_REASONS = {"end_turn": "endTurn", "max_tokens": "maxTokens", "stop_sequence": "stopSequence"}
"""Stop reasons of the Messages API, mapped to MCP's; others are sent unchanged."""


def problem_of(request: JsonObject) -> str | None:
    """Return why a request (the `params` of `sampling/createMessage`) is refused; None if it is accepted.

    A client that has not declared `sampling.tools` must refuse requests with tools (MCP, "Sampling with Tools").
    """
    if request.get("tools") or request.get("toolChoice"):
        return "sampling with tools is not supported"
    messages = messages_of(request)
    if not messages:
        return "the messages have no content to answer"
    return None if messages[0]["role"] == "user" else "the first message must have the role user"


def messages_of(request: JsonObject) -> list[JsonObject]:
    """Return the messages in the Messages API's form. Content that it has no block for is described in text."""
    messages = []
    for message in request["messages"]:
        content = message["content"]
        shown = blocks(content if isinstance(content, list) else [content])
        if message["role"] == "assistant":
            shown = [text_only(block, rule="role") for block in shown]
        if shown:
            messages.append({"role": message["role"], "content": shown})
    return messages


def result_of(content: list[JsonObject], model: str, stop_reason: str) -> JsonObject:
    """Return the `CreateMessageResult` for a reply: the text of its content blocks, the model and the stop reason."""
    text = "".join(block["text"] for block in content if block.get("type") == "text")
    return {
        "role": "assistant",
        "content": {"type": "text", "text": text},
        "model": model,
        "stopReason": _REASONS.get(stop_reason, stop_reason),
    }
