"""Complete or remove an interrupted exchange, so that the conversation can go on.

The Messages API refuses a call without a result, and a script or a recording answers each message of the user. So calls
get results, and the exchange gets a last turn. An exchange with neither calls nor a reply is removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from mcprun.client.session import ToolResult
from mcprun.engine.conversation import Conversation
from mcprun.engine.tool_loop import COMPLETE_STOP_REASONS, call_of
from mcprun.runs.transcript import Turn
from mcprun.tools.results import NOT_MADE, error_result, tool_result


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The length of a conversation at some point: its number of messages, turns and requests from the server."""

    messages: int
    turns: int
    asked: int

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        """Return the current length of a conversation."""
        return cls(len(conversation.messages), len(conversation.turns), len(conversation.asked))


def close_interrupted_turn(conversation: Conversation, start: Checkpoint, *, error_text: str, why: str) -> bool:
    """Complete or remove the exchange that began at `start`. Return whether any of it remains.

    A complete exchange stays as it is. Calls without a result get `error_text` as an error. `why` becomes the text of a
    last turn of the model, in brackets (`[stopped by the user]`): an exchange must end with one.
    """
    if (
        conversation.stop in COMPLETE_STOP_REASONS
        and not _has_unanswered_calls(conversation)
        and _ends_with_a_turn(conversation)
    ):
        return True
    if not any(_tool_uses(message) for message in conversation.messages[start.messages :]):
        if _ends_with_a_turn(conversation) and len(conversation.turns) > start.turns:
            return True  # keep the reply that the model had begun
        del conversation.messages[start.messages :]  # the user's message, which has no reply
        del conversation.asked[start.asked :]
        return False
    if _has_unanswered_calls(conversation):
        _answer(conversation, error_text)
    conversation.messages.append({"role": "assistant", "content": [{"type": "text", "text": f"[{why}]"}]})
    conversation.turns.append(Turn(stop_reason="end_turn"))
    conversation.stop = "end_turn"
    return True


def _answer(conversation: Conversation, message: str) -> None:
    """Append a result for each call of the last turn: its own, or an error. Calls that never began are not recorded."""
    uses, under_way = _tool_uses(conversation.messages[-1]), conversation.under_way
    if not under_way:
        results = [tool_result(use["id"], error_result(NOT_MADE)) for use in uses]
    else:
        missing = ToolResult(error_result(message))
        answers = [under_way.answers.get(event.call, missing) for event in under_way.calls]
        turn = len(conversation.turns) - 1
        recorded = [call_of(event, answer) for event, answer in zip(under_way.calls, answers, strict=True)]
        conversation.calls[:] = [*(call for call in conversation.calls if call.turn < turn), *recorded]
        results = [tool_result(use["id"], answer.result) for use, answer in zip(uses, answers, strict=True)]
        conversation.under_way = None
    conversation.messages.append({"role": "user", "content": results})


def _has_unanswered_calls(conversation: Conversation) -> bool:
    return bool(_tool_uses(conversation.messages[-1]))


def _ends_with_a_turn(conversation: Conversation) -> bool:
    return bool(conversation.messages[-1]["role"] == "assistant")


def _tool_uses(message: dict[str, object]) -> list[dict[str, str]]:
    """Return the `tool_use` blocks of a message."""
    content = message["content"]
    blocks = content if isinstance(content, list) and message["role"] == "assistant" else []
    return [block for block in blocks if block.get("type") == "tool_use"]
