"""A conversation as far as it has come: what the loop fills, and whoever called the loop still holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mcprun._util.json_value import JsonObject
from mcprun.client.session import ToolResult
from mcprun.models.base import ModelReply
from mcprun.runs.events import ToolCall
from mcprun.runs.records import Asked, Call, Check, Given, Turn


@dataclass(frozen=True, slots=True)
class PendingTurn:
    """A turn whose calls are not all answered yet: the calls in order, and the answers so far by their numbers."""

    calls: tuple[ToolCall, ...]
    answers: dict[int, ToolResult] = field(default_factory=dict)


@dataclass(slots=True)
class Conversation:
    """What has been said, in the shape of the Messages API, and what it led to.

    `stop` is the model's last stop reason, `max_turns`, `max_calls` or `diverged`. `divergences` says, by the number of
    a call, how it differs from the one that is played back; `checks` are those of the
    query's expectations, `judged` those of the judge, if there was one.
    `under_way` is the turn whose calls are being made, or were when the conversation was cut short.
    `given` counts the messages that the server's own prompt or resources made, and `given_divergence` says how they
    differ from those that are played back.
    `unlisted` are the numbers of the calls of tools that the server does not list, `denied` of those that may not be
    used.
    `asked` is what the server asked, `unmet` says which of it the query's own answers should have answered.
    `malformed` says what of the server's own prompt or resources could not be read.
    """

    model: str
    messages: list[JsonObject] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    stop: str = ""
    divergences: dict[int, str] = field(default_factory=dict)
    unlisted: set[int] = field(default_factory=set)
    denied: set[int] = field(default_factory=set)
    given: Given | None = None
    given_divergence: str = ""
    checks: list[Check] = field(default_factory=list)
    judged: list[Check] = field(default_factory=list)
    under_way: PendingTurn | None = None
    asked: list[Asked] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    _pending: dict[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of the model's last turn."""
        own = self.messages[self.given.messages :] if self.given else self.messages
        last = next((message for message in reversed(own) if message["role"] == "assistant"), None)
        return "".join(block["text"] for block in last["content"] if block.get("type") == "text") if last else ""

    @property
    def diverged(self) -> dict[str, str]:
        """What brought something else than was recorded, and how it differs, in order: `call 2`, `the server's …`."""
        given = {"the server's prompt or resource": self.given_divergence} if self.given_divergence else {}
        return given | {f"call {number}": self.divergences[number] for number in sorted(self.divergences)}

    @property
    def pending(self) -> str:
        """What is being waited for, and for how long: `add, call 2 (for 3.2 s)`."""
        now = time.monotonic()
        return ", ".join(f"{what} (for {now - since:.1f} s)" for what, since in self._pending.items())

    @contextmanager
    def waiting_for(self, what: str) -> Iterator[None]:
        """Note that something is waited for; what never came is still pending when the context ends with an error."""
        self._pending[what] = time.monotonic()
        yield
        del self._pending[what]

    def add(self, reply: ModelReply) -> None:
        """Take the model's next turn."""
        self.model = reply.model
        self.messages.append({"role": "assistant", "content": reply.content})
        self.turns.append(Turn(stop_reason=reply.stop_reason, usage=reply.usage))
        self.stop = reply.stop_reason
