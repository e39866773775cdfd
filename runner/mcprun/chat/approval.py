"""Ask the user to approve tool calls: all of them, or those of destructive tools."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Literal, Protocol

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.runs.events import ToolCall
from mcprun.runs.redaction import Redactor
from mcprun.tools.results import REFUSED

Ask = Literal["all", "marked", "none"]
"""Which calls need approval: all, those of tools that are marked as destructive, or none."""

Decision = Literal["yes", "no", "always"]
"""The user's decision; `always` approves all calls of the tool until the chat ends."""


class Approver(Protocol):
    """The user interface of a chat, which shows the model's output and asks for approval."""

    def show_text(self, text: str) -> None:
        """Show a piece of the model's text."""
        ...

    def show_call(self, call: ToolCall) -> None:
        """Show a call that the model requested."""
        ...

    async def decide(self, call: ToolCall) -> Decision:
        """Ask whether a call may be sent, and return the decision."""
        ...


class Approval:
    """Ask a `person` to approve calls, one at a time. Calls are redacted before they are shown."""

    def __init__(self, ask: Ask, person: Approver, redactor: Redactor) -> None:
        self._ask = ask
        self._person = person
        self._redactor = redactor
        self._always: set[str] = set()
        self._lock = asyncio.Lock()

    async def request(self, call: ToolCall, tools: Iterable[JsonObject], deadline: Deadline) -> str:
        """Show a call, and ask for approval if it is needed.

        Return an empty string if the call may be sent, else the text of the refusal for the model. `tools` are the
        server's, as it lists them. `deadline` is paused while the user decides.
        """
        shown = self._redactor.value(call)
        async with self._lock:
            self._person.show_call(shown)
            tool = next((tool for tool in tools if tool["name"] == call.tool), {})
            if call.tool in self._always or not needs_approval(tool, self._ask):
                return ""
            with deadline.pause():
                decision = await self._person.decide(shown)
            if decision == "always":
                self._always.add(call.tool)
            return REFUSED if decision == "no" else ""


def needs_approval(tool: JsonObject, ask: Ask) -> bool:
    """Return whether calls of a tool, as its server lists it, need approval."""
    return ask == "all" or (ask == "marked" and is_marked(tool))


def is_marked(tool: JsonObject) -> bool:
    """Return whether a server marks a tool as destructive (MCP, `destructiveHint`).

    By the specification a tool without the hint counts as destructive. But most tools have no hints, so only an
    explicit one counts here. The hint has no meaning for a tool that only reads (`readOnlyHint`).
    """
    hints = tool.get("annotations")
    return isinstance(hints, dict) and hints.get("destructiveHint") is True and hints.get("readOnlyHint") is not True
