"""Whether a call may be sent: a person at the keyboard is asked about tools that destroy things."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal, Protocol

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.runs.events import ToolCall
from mcprun.runs.redaction import Redactor
from mcprun.tools.refusals import REFUSED

Ask = Literal["all", "marked", "none"]
"""Which calls are asked about: all, those of tools that are marked as destructive, or none."""

Decision = Literal["yes", "no", "always"]
"""What the person says; `always` is for this tool, until the end."""


class Approver(Protocol):
    """Who talks to the model: what the chat tells it, and asks of it."""

    def hear(self, text: str) -> None:
        """Take a piece of what the model says."""
        ...

    def began(self, call: ToolCall) -> None:
        """Take note of a call that the model wants to make."""
        ...

    async def decide(self, call: ToolCall) -> Decision:
        """Say whether a call may be sent."""
        ...


class Approval:
    """Asks a `person` about calls, one at a time; what is shown is cleaned of secrets."""

    def __init__(self, ask: Ask, person: Approver, redactor: Redactor) -> None:
        self._ask = ask
        self._person = person
        self._redactor = redactor
        self._always: set[str] = set()
        self._one = asyncio.Lock()

    async def given(self, call: ToolCall, tools: Iterable[JsonObject], deadline: Deadline) -> str:
        """Tell of a call, and ask about it where that is wanted. Gives what the model is told when it is refused.

        `tools` are those of the server, as it lists them. The `deadline` stands still while the person thinks.
        """
        shown = self._redactor.value(call)
        async with self._one:
            self._person.began(shown)
            tool = next((tool for tool in tools if tool["name"] == call.tool), {})
            if call.tool in self._always or not is_asked_about(tool, self._ask):
                return ""
            with deadline.paused():
                decision = await self._person.decide(shown)
            if decision == "always":
                self._always.add(call.tool)
            return REFUSED if decision == "no" else ""


def is_asked_about(tool: JsonObject, ask: Ask) -> bool:
    """Tell whether somebody is to be asked before a tool, as its server lists it, is called."""
    return ask == "all" or (ask == "marked" and is_marked(tool))


def is_marked(tool: JsonObject) -> bool:
    """Tell whether a server says of a tool that it may destroy something (MCP, `destructiveHint`).

    A hint that is not there means the same by the specification, but most tools have none at all: only a word counts.
    Of a tool that only reads (`readOnlyHint`) it means nothing.
    """
    hints = tool.get("annotations")
    return isinstance(hints, dict) and hints.get("destructiveHint") is True and hints.get("readOnlyHint") is not True
