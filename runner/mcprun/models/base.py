"""Models: what answers a conversation. Each is one module with one class that has one method.

`Model` is the seam of the product: Claude, a script and a recording are the same to the loop, and so is any
double that a test writes in three lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef
from mcprun.runs.records import Call, Usage
from mcprun.tools.toolset import ToolSet


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How Claude is to answer, as the Messages API has it; `None` is as the model does by itself.

    `effort` is `low` to `max`. `thinking` is `adaptive`, `disabled`, or a budget of tokens. `tool_choice` is `any`,
    `none` or a tool's name: for a query's first turn, since a model that must call a tool could never end its turn.
    With `bare`, nothing is sent but what every endpoint of the Messages API knows: no caching, no `output_config`.
    """

    effort: str | None = None
    thinking: str | None = None
    tool_choice: str | None = None
    bare: bool = False

    @property
    def budget(self) -> int | None:
        """The tokens that thinking may take, where that is a number."""
        return int(self.thinking) if self.thinking and self.thinking.isdecimal() else None

    @property
    def named_tool(self) -> str | None:
        """The tool that the model must call in a query's first turn, if it must be one."""
        return None if self.tool_choice in ("any", "none") else self.tool_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One model request of the try at a query that `where` names.

    `turn` counts the conversation's replies so far, `calls` are those already made. `messages` and `system` have
    the shape of the Messages API; `model` is the name the query asks for, if any. `deadline` is the query's own:
    a model that has to wait before it can ask pauses it. With a `schema`, the answer's text is to be JSON that fits.
    `hear`, if there is one, is called with the answer's text: piece by piece where it comes so, else all at once.
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
    hear: Callable[[str], None] | None = None

    def told(self, reply: ModelReply) -> ModelReply:
        """Have a reply heard that came all at once, if somebody listens; give it back."""
        if self.hear and reply.text:
            self.hear(reply.text)
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """One turn: content blocks and stop reason of the Messages API, and which model it was.

    `usage` is `None` where no tokens were counted. Blocks go back to the API untouched. `batch` is the Message Batch
    that it came with, if any; then `request_id` is its `custom_id`, and it `is_counted` when an earlier process of the
    run was told of it, and its tokens with it.
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
        """All that is said in it."""
        return "".join(block["text"] for block in self.content if block.get("type") == "text")


class Model(Protocol):
    """Something that answers."""

    @property
    def name(self) -> str:
        """What to call it before it has answered."""
        ...

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Give the next turn.

        Raises `QueryError` when this query can't be answered, `RunError` when no query could be.
        """
        ...
