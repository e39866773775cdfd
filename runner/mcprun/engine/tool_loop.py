"""The conversation itself: the model speaks, its calls are run, the results go back, until it has ended its turn.

No retry, no deadline but a call's, no files. What was said so far stands in the `Conversation`, which whoever
called still holds when the loop is cut short.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from mcprun._util.deadline import Deadline, Gate
from mcprun._util.json_text import levels
from mcprun._util.json_value import JsonObject
from mcprun._util.tasks import gather_or_cancel
from mcprun.client.request_owner import ClientFeatures, PendingCall
from mcprun.client.session import ServerSession, ToolResult
from mcprun.engine.conversation import Conversation, PendingTurn
from mcprun.engine.server_input import ServerInputLoader
from mcprun.engine.server_requests import Answers, QueryRequestHandler
from mcprun.errors import ErrorKind, QueryError, RequestError
from mcprun.limits import Limits
from mcprun.models.base import Model, ModelReply, ModelRequest
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef, Emit, ModelCall, ToolCall
from mcprun.runs.records import Call, Given
from mcprun.runs.warn_once import Warn, drop_warning
from mcprun.tools.results import error_result, tool_result
from mcprun.tools.toolset import ToolFilter, ToolSet

_CALLING = frozenset({"tool_use", "end_turn"})
"""Stop reasons with which calls are meant. With others (`max_tokens`, `refusal`) a `tool_use` may be cut short."""

_MOST_LEVELS = 400
"""Levels of nesting of arguments that can be recorded. Servers are sent at most `nesting.MOST_DEPTH`."""

ANSWERED = frozenset({"end_turn", "stop_sequence"})
"""Stop reasons after which the user's next message may follow."""


Divergence = Callable[[Query, AttemptRef, int, Call], str]
"""Says how the call with a number differs from what was recorded of the query; empty when it does not."""

GivenDivergence = Callable[[Query, AttemptRef, list[JsonObject]], str]
"""Says how what the server gives to begin with differs from what was recorded of the query; empty when it does not."""

Approve = Callable[[ToolCall], Awaitable[str]]
"""Is asked before a call is sent, for all of a turn at the same time. What it says is told in place of a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLoop:
    """What all conversations of a run share. `system` is for queries that bring none of their own.

    `offers` is what servers that ask are offered.
    `permit` says which tools may be used, which a query's own `tools` narrow down. `divergence` says how a call differs
    from the one that is played back, if one is, `given_divergence` how what it began with does; with `stop_diverged`, a
    conversation ends there. A `gate` bounds how many use a server at once. `approve` is asked before each call, and
    `hear` is called with the model's text as it streams. `warn` emits the first warning of each kind.
    """

    model: Model
    limits: Limits
    system: str | None
    emit: Emit
    permit: ToolFilter = field(default_factory=ToolFilter)
    offers: ClientFeatures = field(default_factory=ClientFeatures)
    divergence: Divergence | None = None
    given_divergence: GivenDivergence | None = None
    stop_diverged: bool = False
    gate: Gate | None = None
    approve: Approve | None = None
    hear: Callable[[str], None] | None = None
    warn: Warn = drop_warning

    @property
    def answers(self) -> Answers:
        """What servers that ask are answered by."""
        return Answers(self.model, self.limits, self.offers)

    def clock(self) -> Deadline:
        """Return the deadline of one request to a server."""
        return Deadline(self.limits.call_seconds, self.limits.most_call_seconds)

    def passed(self, deadline: Deadline) -> AbstractAsyncContextManager[None]:
        """Wait until the server may be used, off the clock of a `deadline`."""
        return self.gate.passed(deadline) if self.gate else nullcontext()

    async def converse(
        self,
        query: Query,
        server: ServerSession,
        where: AttemptRef,
        conversation: Conversation,
        deadline: Deadline,
        messages: Sequence[str | list[Any]] | None = None,
    ) -> None:
        """Play a query's user messages one after the other, until the model ends its turn on the last.

        With `messages`, only these of them are played, since the others were said before. Fills `conversation`;
        `deadline` is paused while a model waits to be asked. Raises `QueryError` when the model or the server can't go
        on, `RunError` when no query could.
        """
        tools = server.tools.only(self.permit).only(ToolFilter(allow=tuple(query.tools or ())))
        asker = self.answers.asker(query, where, deadline, conversation.turns)
        one = _Exchange(self, query, server, where, conversation, deadline, tools, asker)
        before, unmet = conversation.asked, conversation.unmet
        try:
            with server.attend(asker):
                if messages is None:
                    async with self.passed(deadline):
                        messages = await self._user_messages(query, server, where, conversation, asker)
                for content in messages:
                    conversation.messages.append({"role": "user", "content": content})
                    await one.run()
                    if conversation.stop not in ANSWERED:
                        return
        finally:
            conversation.asked, conversation.unmet = [*before, *asker.in_order()], [*unmet, *asker.unmet]

    async def _user_messages(
        self,
        query: Query,
        server: ServerSession,
        where: AttemptRef,
        conversation: Conversation,
        asker: QueryRequestHandler,
    ) -> list[str | list[Any]]:
        """Give what the user says; what comes before it, where the server gives it, stands in `conversation` then."""
        if not query.takes_from_server:
            return query.user_messages
        waits, malformed = conversation.waiting_for, conversation.malformed
        opener = ServerInputLoader(server, where, asker, self.emit, self.clock, waits, malformed, self.warn)
        given = await opener.open(query)
        told = self.given_divergence(query, where, given) if self.given_divergence else ""
        conversation.given = Given(messages=len(given), diverged=bool(told))
        conversation.given_divergence = told
        if told and self.stop_diverged:
            conversation.messages += given
            conversation.stop = "diverged"
            return []
        *before, last = given
        conversation.messages += before
        return [last["content"], *query.user_messages[1:]]


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One conversation with one server; `tools` are frozen for its length."""

    loop: ToolLoop
    query: Query
    server: ServerSession
    where: AttemptRef
    conversation: Conversation
    deadline: Deadline
    tools: ToolSet
    asker: QueryRequestHandler

    async def run(self) -> None:
        """Let the model and the server answer each other until the model has ended its turn."""
        conversation = self.conversation
        max_turns = self.query.max_turns or self.loop.limits.max_turns
        while len(conversation.turns) < max_turns:
            reply = await self._reply()
            conversation.add(reply)
            uses = [block for block in reply.content if block.get("type") == "tool_use"]
            if len(conversation.calls) + len(uses) > self.loop.limits.max_calls:
                conversation.stop = "max_calls"
                return
            if uses and reply.stop_reason in _CALLING:
                conversation.messages.append({"role": "user", "content": await self._called(uses)})
                if self.loop.stop_diverged and any(call.diverged for call in conversation.calls):
                    conversation.stop = "diverged"
                    return
            elif reply.stop_reason != "pause_turn":
                return
        conversation.stop = "max_turns"

    async def _reply(self) -> ModelReply:
        """Ask the model for its next turn, and tell of it."""
        turn = len(self.conversation.turns)
        request = ModelRequest(
            query=self.query,
            where=self.where,
            turn=turn,
            messages=self.conversation.messages,
            calls=self.conversation.calls,
            tools=self.tools,
            system=self.query.system or self.loop.system,
            model=self.query.model,
            max_tokens=self.query.max_tokens or self.loop.limits.max_tokens,
            deadline=self.deadline,
            hear=self.loop.hear,
        )
        event = ModelCall(where=self.where, turn=turn, model=self.query.model or self.loop.model.name)
        started = time.monotonic()
        try:
            with self.conversation.waiting_for(f"the model's turn {turn}"):
                reply = await self.loop.model.reply(request)
        except (QueryError, asyncio.CancelledError) as error:
            told = f"{error.kind}: {error}" if isinstance(error, QueryError) else "cancelled"
            event = replace(event, seconds=time.monotonic() - started, error=told)
            if isinstance(error, RequestError):
                event = replace(event, status=error.status, request_id=error.request_id)
            self.loop.emit(event)
            raise
        self.loop.emit(
            replace(
                event,
                seconds=time.monotonic() - started,
                model=reply.model,
                stop_reason=reply.stop_reason,
                usage=reply.usage,
                request_id=reply.request_id,
                batch=reply.batch,
            )
        )
        deep = next((block for block in reply.content if levels(block.get("input")) > _MOST_LEVELS), None)
        if deep:
            message = f"the model called {deep.get('name')} with arguments nested more than {_MOST_LEVELS} levels deep"
            raise QueryError(ErrorKind.API_ERROR, message)
        return reply

    async def _called(self, uses: Sequence[JsonObject]) -> list[JsonObject]:
        """Run a turn's calls, when there is a place for it; see `_results`."""
        async with self.loop.passed(self.deadline):
            return await self._results(uses)

    async def _results(self, uses: Sequence[JsonObject]) -> list[JsonObject]:
        """Run a turn's calls at the same time; give their `tool_result` blocks in the order they were asked."""
        asked = [self.tools.from_api(use["name"], use.get("input") or {}) for use in uses]
        events = [
            ToolCall(
                where=self.where,
                turn=len(self.conversation.turns) - 1,
                call=number,
                tool=tool,
                input=arguments,
                server=self.server.number,
                log_offset=self.server.log_offset,
            )
            for number, (tool, arguments) in enumerate(asked, len(self.conversation.calls))
        ]
        self.conversation.unlisted |= {event.call for event in events if not self.tools.lists(event.tool)}
        self.conversation.denied |= {event.call for event in events if not self._permits(event.tool)}
        self.conversation.under_way = PendingTurn(tuple(events))
        answers = self.conversation.under_way.answers
        try:
            await gather_or_cancel(self._answer(event, answers) for event in events)
        finally:
            # What was answered before the turn was cut short happened, and is told.
            self.conversation.calls.extend(
                self._judged(call_of(event, answers[event.call]), event) for event in events if event.call in answers
            )
        self.conversation.under_way = None
        return [
            tool_result(use["id"], answers[event.call].result, self.loop.warn)
            for use, event in zip(uses, events, strict=True)
        ]

    def _judged(self, call: Call, event: ToolCall) -> Call:
        """Hold a call against the recorded one, where there is one."""
        if self.loop.divergence and (told := self.loop.divergence(self.query, self.where, event.call, call)):
            self.conversation.divergences[event.call] = told
            return call.model_copy(update={"diverged": True})
        return call

    async def _answer(self, event: ToolCall, answers: dict[int, ToolResult]) -> None:
        """Make one call, tell of it, and put its answer into `answers` under the call's number."""
        refused = await self._refused(event)
        started = time.monotonic()
        caller = PendingCall(self.asker, event.turn or 0, event.call, self.loop.clock(), self.deadline)
        try:
            with self.conversation.waiting_for(f"{event.tool}, call {event.call}"):
                answer = refused or await self.server.call(
                    event.tool, event.input, self.loop.limits.call_seconds, caller
                )
        except (QueryError, asyncio.CancelledError) as error:
            told = str(error.kind) if isinstance(error, QueryError) else "cancelled"
            self.loop.emit(
                replace(
                    event,
                    seconds=time.monotonic() - started,
                    cancelled=told == "cancelled" or None,
                    progress=caller.progress or None,
                    is_error=True,
                    problem=told,
                )
            )
            raise
        answers[event.call] = answer
        self.loop.emit(
            replace(
                event,
                seconds=time.monotonic() - started,
                cancelled=answer.cancelled or None,
                progress=caller.progress or None,
                is_error=answer.is_error,
                problem=answer.problem,
                error=answer.error,
            )
        )
        if self.asker.failure:  # the model could not be asked on the server's behalf, whatever that made of it
            raise self.asker.failure

    async def _refused(self, event: ToolCall) -> ToolResult | None:
        """Give the answer to a call that is not sent: the tool may not be used, or somebody does not approve."""
        if not self._permits(event.tool):
            return ToolResult(error_result(f"The tool {event.tool} is not allowed here."), "not allowed")
        if self.loop.approve and (told := await self.loop.approve(event)):
            return ToolResult(error_result(told), "not approved")
        return None

    def _permits(self, tool: str) -> bool:
        """Return whether a tool may be used, by the run's permit and by the query's own `tools`."""
        is_limited = self.loop.permit or self.query.tools
        return not is_limited or tool in self.tools.names.values()


def call_of(event: ToolCall, answer: ToolResult) -> Call:
    """Give a call with what came of it."""
    return Call(
        turn=event.turn or 0,
        tool=event.tool,
        input=event.input,
        is_error=answer.is_error,
        content=answer.result["content"],
        structured=answer.result.get("structuredContent"),
    )
