"""The model-tool loop: send the conversation, run the tool calls of the reply, and send back their results.

The loop does not retry, writes no files, and knows no deadline except that of a call. It fills a `Conversation` that
the caller owns, so a cancelled loop leaves the conversation so far.
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
from mcprun._util.plural import plural
from mcprun._util.tasks import gather_or_cancel
from mcprun.client.request_owner import ClientFeatures, PendingCall
from mcprun.client.session import ServerSession, ToolResult
from mcprun.engine.conversation import Attempt, Conversation, Opening, PendingTurn
from mcprun.engine.server_input import ServerInputLoader
from mcprun.engine.server_requests import Answers, QueryRequestHandler
from mcprun.errors import ErrorKind, QueryError, RequestError
from mcprun.limits import Limits
from mcprun.models.base import Model, ModelReply, ModelRequest
from mcprun.prompts.query import Query
from mcprun.runs.events import AttemptRef, Emit, ModelCall, ToolCall
from mcprun.runs.transcript import Call, Given
from mcprun.runs.warn_once import Warn, drop_warning
from mcprun.tools.results import error_result, tool_result
from mcprun.tools.toolset import ToolFilter, ToolSet

_CALLING = frozenset({"tool_use", "end_turn"})
"""Stop reasons after which calls are run. With others (`max_tokens`, `refusal`) a `tool_use` may be incomplete."""

_MAX_LEVELS = 400
"""Nesting levels of arguments that can be recorded. At most `nesting.MAX_DEPTH` are sent to a server."""

COMPLETE_STOP_REASONS = frozenset({"end_turn", "stop_sequence"})
"""Stop reasons after which the query's next user message is sent."""


Divergence = Callable[[Query, AttemptRef, int, Call], str]
"""Describe how a query's call, given with its number, differs from the recorded one; empty if it does not."""

GivenDivergence = Callable[[Query, AttemptRef, list[JsonObject]], str]
"""Describe how a query's opening messages from the server differ from the recorded ones; empty if they do not."""

Approve = Callable[[ToolCall], Awaitable[str]]
"""Approve a call before it is sent: return an empty string, or the error result to send back instead.

Called concurrently for all calls of a turn.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLoop:
    """Runs conversations. Its fields are shared by all conversations of a run.

    Attributes:
        model: The model to converse with.
        limits: The limits of the run.
        system: The system prompt of queries without their own.
        emit: Receives an event for each model request and tool call.
        permit: The tools that may be used. A query's own `tools` narrow them further.
        features: The client features declared to servers, such as elicitation and sampling.
        divergence: Compares a call with the recorded one, in a replay.
        opening_divergence: Compares the server's opening messages with the recorded ones, in a replay.
        stop_diverged: Whether a conversation ends at its first divergence.
        gate: Limits how many conversations use a server at once.
        approve: Approves each call before it is sent.
        on_text: Called with the model's text as it streams.
        warn: Emits the first warning of each kind.
    """

    model: Model
    limits: Limits
    system: str | None
    emit: Emit
    permit: ToolFilter = field(default_factory=ToolFilter)
    features: ClientFeatures = field(default_factory=ClientFeatures)
    divergence: Divergence | None = None
    opening_divergence: GivenDivergence | None = None
    stop_diverged: bool = False
    gate: Gate | None = None
    approve: Approve | None = None
    on_text: Callable[[str], None] | None = None
    warn: Warn = drop_warning

    @property
    def answers(self) -> Answers:
        """The factory of handlers for server requests, such as elicitation and sampling."""
        return Answers(self.model, self.limits, self.features)

    def clock(self) -> Deadline:
        """Return a new deadline for one request to a server."""
        return Deadline(self.limits.call_seconds, self.limits.max_total_call_seconds)

    def hold_gate(self, deadline: Deadline) -> AbstractAsyncContextManager[None]:
        """Return a context that waits at the `gate`, if there is one, with `deadline` paused."""
        return self.gate.hold(deadline) if self.gate else nullcontext()

    async def converse(
        self, attempt: Attempt, server: ServerSession, messages: Sequence[str | list[Any]] | None = None
    ) -> None:
        """Send a query's user messages in turn, running the loop after each until the model ends its turn.

        Stops early if a turn ends otherwise, such as by a limit. The attempt's deadline is paused while a model request
        is waiting. `messages` are the user messages to send; by default, those of the query.

        Raises:
            QueryError: The model or the server can't continue this query.
            RunError: No query could continue.
        """
        tools = self.tools_for(attempt.query, server)
        handler, conversation = self.answers.handler_for(attempt), attempt.conversation
        exchange = _Exchange(self, attempt, server, tools, handler)
        conversation.unknown_tools.update(tools.unknown(call.tool for call in attempt.query.expect.calls or ()))
        before, unmet = conversation.asked, conversation.unmet
        try:
            with server.register(handler):
                opening = await self._open(server, handler) if messages is None else Opening(messages)
                conversation.begin(opening)
                if opening.divergence and self.stop_diverged:
                    conversation.say(opening.user_messages[0])
                    conversation.stop = "diverged"
                    return
                for content in opening.user_messages:
                    conversation.say(content)
                    await exchange.run()
                    if conversation.stop not in COMPLETE_STOP_REASONS:
                        return
        finally:
            conversation.asked, conversation.unmet = [*before, *handler.in_order()], [*unmet, *handler.unmet]

    async def ask_once(self, attempt: Attempt, server: ServerSession, tools: ToolSet) -> Sequence[JsonObject]:
        """Send a query's first user message, and return the content of the model's turn. No call is made.

        The model is not asked if the server's messages diverge from the recording and conversations end at that.
        Raises `QueryError` and `RunError` as `converse` does.
        """
        handler, conversation = self.answers.handler_for(attempt), attempt.conversation
        exchange = _Exchange(self, attempt, server, tools, handler)
        conversation.unknown_tools.update(tools.unknown(call.tool for call in attempt.query.expect.calls or ()))
        try:
            with server.register(handler):
                opening = await self._open(server, handler)
        finally:
            conversation.asked, conversation.unmet = handler.in_order(), [*handler.unmet]
        conversation.begin(opening)
        conversation.say(opening.user_messages[0])
        if opening.divergence and self.stop_diverged:
            conversation.stop = "diverged"
            return []
        reply = await exchange.reply()
        conversation.add(reply)
        return reply.content

    def tools_for(self, query: Query, server: ServerSession) -> ToolSet:
        """Return the tools that the model may use for a query."""
        tools = server.tools.only(self.permit)
        return tools.only(ToolFilter(allow=tuple(query.tools))) if query.tools else tools

    async def _open(self, server: ServerSession, handler: QueryRequestHandler) -> Opening:
        """Return how the conversation begins, with the prompt and resources that the query takes from the server."""
        attempt = handler.attempt
        query, where = attempt.query, attempt.where
        async with self.hold_gate(attempt.deadline):
            if not query.takes_from_server:
                return Opening(query.user_messages)
            loader = ServerInputLoader(server, handler, self.emit, self.clock, self.warn)
            messages = await loader.load()
        divergence = self.opening_divergence(query, where, messages) if self.opening_divergence else ""
        *history, first = messages
        return Opening(
            [first["content"], *query.user_messages[1:]],
            history,
            Given(messages=len(messages), diverged=bool(divergence)),
            divergence,
            loader.malformed,
        )


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One conversation with one server. `tools` do not change during it."""

    loop: ToolLoop
    attempt: Attempt
    server: ServerSession
    tools: ToolSet
    handler: QueryRequestHandler

    @property
    def conversation(self) -> Conversation:
        """The conversation of the attempt."""
        return self.attempt.conversation

    async def run(self) -> None:
        """Run turns until the model ends its turn, a limit is reached, or a call diverged under `stop_diverged`."""
        conversation = self.conversation
        own, limits = self.attempt.query.max_turns, self.loop.limits
        max_turns = own or limits.max_turns
        while len(conversation.turns) < max_turns:
            reply = await self.reply()
            conversation.add(reply)
            uses = [block for block in reply.content if block.get("type") == "tool_use"]
            if len(conversation.calls) + len(uses) > limits.max_calls:
                conversation.stop, conversation.limit = (
                    "max_calls",
                    f"{plural(limits.max_calls, 'call')} (`--max-calls`)",
                )
                return
            if uses and reply.stop_reason in _CALLING:
                conversation.say(await self._call_when_admitted(uses))
                if self.loop.stop_diverged and any(call.diverged for call in conversation.calls):
                    conversation.stop = "diverged"
                    return
            elif reply.stop_reason != "pause_turn":
                return
        option = "the query's `max_turns`" if own else "`--max-turns`"
        conversation.stop, conversation.limit = "max_turns", f"{plural(max_turns, 'turn')} ({option})"

    async def reply(self) -> ModelReply:
        """Request the model's next turn and emit a `ModelCall`."""
        query, turn = self.attempt.query, len(self.conversation.turns)
        request = ModelRequest(
            query=query,
            where=self.attempt.where,
            turn=turn,
            messages=self.conversation.messages,
            calls=self.conversation.calls,
            tools=self.tools,
            system=query.system or self.loop.system,
            model=query.model,
            max_tokens=query.max_tokens or self.loop.limits.max_tokens,
            deadline=self.attempt.deadline,
            on_text=self.loop.on_text,
        )
        started = time.monotonic()
        try:
            with self.conversation.waiting_for(f"the model's turn {turn}"):
                reply = await self.loop.model.reply(request)
        except (QueryError, asyncio.CancelledError) as error:
            self.loop.emit(
                ModelCall(
                    where=request.where,
                    turn=turn,
                    seconds=time.monotonic() - started,
                    model=query.model or self.loop.model.name,
                    error=f"{error.kind}: {error}" if isinstance(error, QueryError) else "cancelled",
                    status=error.status if isinstance(error, RequestError) else None,
                    request_id=error.request_id if isinstance(error, RequestError) else None,
                )
            )
            raise
        self.loop.emit(
            ModelCall(
                where=request.where,
                turn=turn,
                seconds=time.monotonic() - started,
                model=reply.model,
                stop_reason=reply.stop_reason,
                usage=reply.usage,
                request_id=reply.request_id,
                batch=reply.batch,
            )
        )
        deep = next((block for block in reply.content if levels(block.get("input")) > _MAX_LEVELS), None)
        if deep:
            message = f"the model called {deep.get('name')} with arguments nested more than {_MAX_LEVELS} levels deep"
            raise QueryError(ErrorKind.API_ERROR, message)
        return reply

    async def _call_when_admitted(self, uses: Sequence[JsonObject]) -> list[JsonObject]:
        """Wait at the gate, then run a turn's calls. Return what `_run_calls` does."""
        async with self.loop.hold_gate(self.attempt.deadline):
            return await self._run_calls(uses)

    async def _run_calls(self, uses: Sequence[JsonObject]) -> list[JsonObject]:
        """Run the calls of `tool_use` blocks concurrently. Return their `tool_result` blocks in the same order."""
        requested = [self.tools.from_api(use["name"], use.get("input") or {}) for use in uses]
        events = [
            ToolCall(
                where=self.attempt.where,
                turn=len(self.conversation.turns) - 1,
                call=number,
                tool=tool,
                input=arguments,
                server=self.server.number,
                log_offset=self.server.log_offset,
            )
            for number, (tool, arguments) in enumerate(requested, len(self.conversation.calls))
        ]
        unknown = self.tools.unknown(event.tool for event in events)
        self.conversation.unlisted |= {event.call for event in events if event.tool in unknown}
        self.conversation.unknown_tools.update(unknown)
        self.conversation.denied |= {event.call for event in events if not self._permits(event.tool)}
        self.conversation.under_way = PendingTurn(tuple(events))
        answers = self.conversation.under_way.answers
        try:
            await gather_or_cancel(self._answer(event, answers) for event in events)
        finally:
            # Calls answered before a cancellation are recorded too.
            self.conversation.calls.extend(
                self._compare(call_of(event, answers[event.call]), event) for event in events if event.call in answers
            )
        self.conversation.under_way = None
        return [
            tool_result(use["id"], answers[event.call].result, self.loop.warn)
            for use, event in zip(uses, events, strict=True)
        ]

    def _compare(self, call: Call, event: ToolCall) -> Call:
        """Return a call, marked as `diverged` if it differs from the recorded one."""
        attempt, describe_difference = self.attempt, self.loop.divergence
        if describe_difference and (divergence := describe_difference(attempt.query, attempt.where, event.call, call)):
            self.conversation.divergences[event.call] = divergence
            return call.model_copy(update={"diverged": True})
        return call

    async def _answer(self, event: ToolCall, answers: dict[int, ToolResult]) -> None:
        """Make one call, emit its event, and store the result in `answers` by the number of the call."""
        rejection = await self._rejection(event)
        started = time.monotonic()
        caller = PendingCall(self.handler, event.turn or 0, event.call, self.loop.clock(), self.attempt.deadline)
        try:
            with self.conversation.waiting_for(f"call {event.call}, `{event.tool}`"):
                answer = rejection or await self.server.call(
                    event.tool, event.input, self.loop.limits.call_seconds, caller
                )
        except (QueryError, asyncio.CancelledError) as error:
            problem = str(error.kind) if isinstance(error, QueryError) else "cancelled"
            self.loop.emit(
                replace(
                    event,
                    seconds=time.monotonic() - started,
                    cancelled=problem == "cancelled" or None,
                    progress=caller.progress or None,
                    is_error=True,
                    problem=problem,
                )
            )
            raise
        answers[event.call] = answer
        if answer.limit:
            self.conversation.timeouts[event.call] = answer.limit
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
        if self.handler.failure:  # ends the query, however the server handled the refusal
            raise self.handler.failure

    async def _rejection(self, event: ToolCall) -> ToolResult | None:
        """Return the error result of a call that must not be sent: not permitted, or rejected by `approve`."""
        if not self._permits(event.tool):
            return ToolResult(error_result(f"The tool {event.tool} is not allowed here."), "not allowed")
        if self.loop.approve and (reason := await self.loop.approve(event)):
            return ToolResult(error_result(reason), "not approved")
        return None

    def _permits(self, tool: str) -> bool:
        """Return whether the run's `permit` and the query's `tools` allow a tool."""
        is_limited = self.loop.permit or self.attempt.query.tools
        return not is_limited or tool in self.tools.names.values()


def call_of(event: ToolCall, answer: ToolResult) -> Call:
    """Return the transcript's record of a call and its result."""
    return Call(
        turn=event.turn or 0,
        tool=event.tool,
        input=event.input,
        is_error=answer.is_error,
        content=answer.result["content"],
        structured=answer.result.get("structuredContent"),
        problem=answer.worded_problem,
    )
