"""The state of a conversation. The tool loop fills it, and its caller keeps it if the loop is cancelled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.client.session import ToolResult
from mcprun.models.base import ModelReply
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef, ToolCall
from mcprun.runs.transcript import Asked, Call, Check, Given, RoutedCall, StepCall, Turn


@dataclass(frozen=True, slots=True)
class PendingTurn:
    """A turn whose calls are in flight: the calls in order, and the results so far by the number of the call."""

    calls: tuple[ToolCall, ...]
    answers: dict[int, ToolResult] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opening:
    """How a conversation begins.

    Attributes:
        user_messages: The contents of the user's messages, to be sent in turn.
        history: The messages before the first of them, from the server's prompt.
        given: How many messages came from the server's prompt or resources; `None` if the query takes none.
        divergence: How these differ from the recording; empty if they do not.
        malformed: Descriptions of the parts of the server's prompt or resources that could not be read.
    """

    user_messages: Sequence[str | list[Any]]
    history: Sequence[JsonObject] = ()
    given: Given | None = None
    divergence: str = ""
    malformed: Sequence[str] = ()


class Waiting:
    """A context in which `pending` maps an operation to the time when it began."""

    __slots__ = ("_pending", "_what")

    def __init__(self, pending: dict[str, float], what: str) -> None:
        self._pending = pending
        self._what = what

    def begin(self) -> None:
        """Mark the operation as pending."""
        self._pending[self._what] = time.monotonic()

    def end(self) -> None:
        """Mark the operation as completed."""
        del self._pending[self._what]

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.end()


@dataclass(slots=True)
class Conversation:
    """The messages of a conversation, in the format of the Messages API, and everything derived from them.

    Attributes:
        model: The model that sent the last turn.
        messages: The messages so far.
        calls: The answered calls, in order.
        turns: The turns of the model, in order.
        stop: The model's last stop reason, `max_turns`, `max_calls` or `diverged`.
        limit: The limit that stopped the conversation, such as ``25 turns (`--max-turns`)``, if one did.
        timeouts: The time limits of calls that were not answered in time, such as `2 s`, by the number of the call.
        divergences: How calls differ from the recording, by the number of the call.
        unlisted: The numbers of calls of tools that the server does not list.
        denied: The numbers of calls of tools that may not be used.
        unknown_tools: The tools that were called or are expected but that the server does not list, each with the most
            similar name of a tool, or an empty string.
        given: How many messages came from the server's prompt or resources.
        opening_divergence: How these differ from the recording; empty if they do not.
        checks: The checks of the query's `expect`.
        judged: The checks of the judge, if there was one.
        under_way: The turn whose calls are in flight, or were when the conversation was cancelled.
        routed: The calls that the model asked for in a routed run; `None` in other runs.
        vars: The values of the query's names, except `unique`.
        steps: What mcprun called and read itself, in order.
        verified: The checks of the steps after the conversation.
        asked: The requests of the server, with their answers.
        unmet: Descriptions of the server requests that the query's own answers should have answered and did not.
        malformed: Descriptions of the parts of the server's prompt or resources that could not be read.
    """

    model: str
    messages: list[JsonObject] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    stop: str = ""
    limit: str = ""
    timeouts: dict[int, str] = field(default_factory=dict)
    divergences: dict[int, str] = field(default_factory=dict)
    unlisted: set[int] = field(default_factory=set)
    denied: set[int] = field(default_factory=set)
    unknown_tools: dict[str, str] = field(default_factory=dict)
    given: Given | None = None
    opening_divergence: str = ""
    checks: list[Check] = field(default_factory=list)
    judged: list[Check] = field(default_factory=list)
    under_way: PendingTurn | None = None
    routed: list[RoutedCall] | None = None
    vars: JsonObject = field(default_factory=dict)
    steps: list[StepCall] = field(default_factory=list)
    verified: list[Check] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    _pending: dict[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text of the model's last turn."""
        own_messages = self.messages[self.given.messages :] if self.given else self.messages
        last = next((message for message in reversed(own_messages) if message["role"] == "assistant"), None)
        return "".join(block["text"] for block in last["content"] if block.get("type") == "text") if last else ""

    @property
    def diverged(self) -> dict[str, str]:
        """How the conversation differs from the recording, by what differs, in order: `call 2`, `the server's …`."""
        given = {"the server's prompt or resource": self.opening_divergence} if self.opening_divergence else {}
        return given | {f"call {number}": self.divergences[number] for number in sorted(self.divergences)}

    @property
    def place(self) -> str:
        """The operations in progress, for a message: `` in call 2, `add` ``. Empty if there are none."""
        return f" in {', '.join(self._pending)}" if self._pending else ""

    @property
    def pending(self) -> str:
        """The operations in progress, with their times: ``call 2, `add` (for 3.2 s)``. Empty if there are none."""
        now = time.monotonic()
        return ", ".join(f"{what} (for {now - since:.1f} s)" for what, since in self._pending.items())

    def waiting_for(self, what: str) -> Waiting:
        """Return a context that marks an operation as pending. It stays pending if the context exits with an error."""
        return Waiting(self._pending, what)

    def begin(self, opening: Opening) -> None:
        """Append what precedes the user's first message."""
        self.messages += opening.history
        self.given, self.opening_divergence = opening.given, opening.divergence
        self.malformed += opening.malformed

    def say(self, content: str | list[Any]) -> None:
        """Append a message of the user."""
        self.messages.append({"role": "user", "content": content})

    def add(self, reply: ModelReply) -> None:
        """Append the model's next turn."""
        self.model = reply.model
        self.messages.append({"role": "assistant", "content": reply.content})
        self.turns.append(Turn(stop_reason=reply.stop_reason, usage=reply.usage))
        self.stop = reply.stop_reason


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a query: its place in the run, the conversation that it fills, and its deadline."""

    query: Query
    where: AttemptRef
    conversation: Conversation
    deadline: Deadline

    @property
    def rubrics(self) -> Sequence[str]:
        """The rubrics that the conversation is graded by, in order."""
        return self.query.expect.judge or ()
