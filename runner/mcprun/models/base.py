"""The protocol `Model`, with its settings, requests and replies.

Each model is one module with one class that has one method. Claude, a script, a recording and a three-line double in a
test all look the same to the tool loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef
from mcprun.runs.transcript import Call, Usage
from mcprun.tools.toolset import ToolSet


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How Claude replies, in the terms of the Messages API. None leaves the model's own default.

    `effort` is `low` to `max`. `thinking` is `adaptive`, `disabled`, or a budget of tokens. `tool_choice` is `any`,
    `none` or a tool's name, and applies to a query's first turn only: a model that must call a tool could never end its
    turn. With `bare`, requests use only what every endpoint of the Messages API supports: no caching, no
    `output_config`.
    """

    effort: str | None = None
    thinking: str | None = None
    tool_choice: str | None = None
    bare: bool = False

    @property
    def budget(self) -> int | None:
        """The tokens that thinking may take, or None if `thinking` is not a number."""
        return int(self.thinking) if self.thinking and self.thinking.isdecimal() else None

    @property
    def named_tool(self) -> str | None:
        """The tool that the model must call in a query's first turn, or None if it need not be a certain one."""
        return None if self.tool_choice in ("any", "none") else self.tool_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One model request of the attempt `where`.

    `turn` is the number of the conversation's replies so far, and `calls` are the calls made so far. `messages` and
    `system` have the shape of the Messages API. `model` is the model that the query names, if any. `deadline` is the
    query's; a model that has to wait before it can send pauses it. With a `schema`, the text of the reply must be JSON
    that fits it. `on_text`, if set, is called with the text of the reply: in pieces if the reply is streamed, else all
    at once.
    """

    query: Query
    where: AttemptRef
    turn: int
    messages: Sequence[JsonObject]
    calls: Sequence[Call]
    tools: ToolSet
    system: str | None
    model: str | None
    max_tokens: int
    deadline: Deadline
    schema: JsonObject | None = None
    on_text: Callable[[str], None] | None = None

    def stream_whole(self, reply: ModelReply) -> ModelReply:
        """Pass the text of a reply that was not streamed to `on_text`, if set. Return the reply."""
        if self.on_text and reply.text:
            self.on_text(reply.text)
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """One turn: content blocks and stop reason of the Messages API, and the model that replied.

    `usage` is None if no tokens were counted. Blocks go back to the API untouched. `batch` is the Message Batch that
    held the reply, if any. `request_id` is then its `custom_id`, and `is_counted` is set if an earlier process of the
    run has recorded the reply and its tokens.
    """

    content: list[JsonObject]
    stop_reason: str
    model: str
    usage: Usage | None = None
    request_id: str | None = None
    batch: str | None = None
    is_counted: bool = False

    @property
    def text(self) -> str:
        """The text of the reply: its text blocks, joined."""
        return "".join(block["text"] for block in self.content if block.get("type") == "text")


class Model(Protocol):
    """A model that replies in a conversation, one turn at a time."""

    @property
    def name(self) -> str:
        """The model's name, as known before its first reply."""
        ...

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Return the next turn.

        Raises `QueryError` if this query can't be answered, `RunError` if no query can.
        """
        ...
