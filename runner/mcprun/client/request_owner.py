"""Attribute server requests to queries. Queries share a session, and a server's request seldom names a call.

A request belongs to a call if it is a round of that call (MCP 2026-07-28), or if it arrives on the call's own stream
over Streamable HTTP: the SDK handles messages of that stream in the context in which the call was sent. Otherwise it
belongs to the only query that uses the server, unless the server has yet to answer a cancelled call of another attempt
and may still be working on it. All other requests belong to no query, and never get one of a query's own answers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun.runs.events import AttemptRef
from mcprun.runs.transcript import Usage

REFUSED = -1
"""The JSON-RPC error code for a request that the user rejects (MCP, "Sampling", "Error Handling")."""

REFUSAL = "nobody answers this here"
"""The error message for a refused request. It never changes: a server may repeat it in results, which are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientResponse:
    """The response to a server's request: a `result` in wire form or, without one, a JSON-RPC error.

    `code` and `error_message` are the code and the message of that error. `reason` explains the response in the trace,
    and is never sent. `usage`, `model` and `stop_reason` come from the model that was asked, if one was.
    """

    result: JsonObject | None = None
    reason: str | None = None
    code: int = REFUSED
    error_message: str = REFUSAL
    usage: Usage | None = None
    model: str | None = None
    stop_reason: str | None = None


LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
"""Levels of log messages, from lowest to highest (MCP, "Logging"; RFC 5424)."""


@dataclass(frozen=True, slots=True)
class ClientFeatures:
    """The client features that servers may use. Some servers list more tools if a client has them.

    Args:
        elicit: How to answer elicitation requests for which a query has no answer: `decline`, `defaults` or `script`.
        sampling: Whether servers may sample a model.
        roots: The roots that `roots/list` returns, in wire form.
        log_level: The lowest level of log messages to request; None leaves it to the server.
    """

    elicit: str = "decline"
    sampling: bool = True
    roots: tuple[JsonObject, ...] = ()
    log_level: LogLevel | None = None


class RequestHandler(Protocol):
    """The handler of the server requests that are attributed to one attempt at a query."""

    @property
    def where(self) -> AttemptRef:
        """The query, repeat and attempt."""
        ...

    async def answer(
        self, kind: str, request: JsonObject, caller: PendingCall | None, *, is_sure: bool
    ) -> ClientResponse:
        """Answer an `elicitation` or `sampling` request (`kind`), whose `params` are `request`.

        `caller` is the call that the request belongs to, if known. Without `is_sure`, the request was attributed to
        this query only because no other query happened to use the server, which may differ in another run.
        """
        ...


@dataclass(eq=False, slots=True)
class PendingCall:
    """A call in flight or, if `call` is None, a request for a prompt or resource.

    `clock` limits it, and is paused while the server waits for an answer from mcprun. `deadline` is that of the query,
    and is paused while mcprun waits because the server asked for a retry. `progress` counts progress notifications.
    """

    handler: RequestHandler
    turn: int
    call: int | None
    clock: Deadline
    deadline: Deadline | None = None
    progress: int = 0

    def pause_deadline(self) -> AbstractContextManager[None]:
        """Return a context that pauses the deadline of the query."""
        return self.deadline.pause() if self.deadline else nullcontext()


@dataclass(frozen=True, slots=True)
class RequestOwner:
    """The query and, if known, the call that a request belongs to. `is_sure` is set if it can't belong to any other."""

    handler: RequestHandler | None = None
    caller: PendingCall | None = None
    is_sure: bool = False


_CALLER: ContextVar[PendingCall | None] = ContextVar("caller", default=None)


@dataclass(slots=True)
class _ActiveQuery:
    """The use of a server by one query: `counts` of events by name, and callbacks to call at its end."""

    counts: Counter[str] = field(default_factory=Counter)
    end_callbacks: list[Callable[[], object]] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class ActiveQueries:
    """The queries that are using one server.

    `is_exclusive` is set if the query that uses the server has it to itself until it ends. `has_unattributed` is set
    once the server has made a request that names no call.
    """

    is_exclusive: bool = False
    has_unattributed: bool = False
    _queries: dict[RequestHandler, _ActiveQuery] = field(default_factory=dict)
    _abandoned: dict[int | str, AttemptRef] = field(default_factory=dict)
    _late_answer: asyncio.Event = field(default_factory=asyncio.Event)
    _calls: list[PendingCall] = field(default_factory=list)

    @contextmanager
    def register(self, handler: RequestHandler) -> Iterator[None]:
        """Register a query during the context. At its end, cancel the answers that are still being prepared."""
        self._queries[handler] = _ActiveQuery()
        try:
            yield
        finally:
            for callback in self._queries.pop(handler).end_callbacks:
                callback()

    def __contains__(self, handler: RequestHandler | None) -> bool:
        return handler in self._queries

    def call_at_end(self, handler: RequestHandler, callback: Callable[[], object]) -> None:
        """Register a callback to call when the query ends."""
        self._queries[handler].end_callbacks.append(callback)

    def counts(self, handler: RequestHandler) -> Counter[str]:
        """Return the event counts of a registered query, by event name."""
        return self._queries[handler].counts

    @contextmanager
    def calling(self, caller: PendingCall | None) -> Iterator[None]:
        """Register a call as in flight during the context; None registers nothing."""
        if caller is None:
            yield
            return
        token = _CALLER.set(caller)
        self._calls.append(caller)
        try:
            yield
        finally:
            self._calls.remove(caller)
            _CALLER.reset(token)

    def mark_abandoned(self, request: int | str) -> None:
        """Record that the call in whose context this runs was cancelled. The server may still be working on it."""
        if caller := _CALLER.get():
            self._abandoned[request] = caller.handler.where

    def mark_answered(self, request: int | str) -> None:
        """Record that a cancelled request was answered after all, so the server is done with it."""
        self._abandoned.pop(request, None)
        self._late_answer.set()

    def forget_session(self) -> None:
        """Record that the session was replaced. Requests that belong to the old one can't arrive on the new one."""
        self._abandoned.clear()
        self._late_answer.set()

    def has_abandoned(self, where: AttemptRef) -> bool:
        """Return whether the server may still be working on a cancelled call of an attempt other than `where`."""
        return any(other != where for other in self._abandoned.values())

    async def wait_for_abandoned(self, where: AttemptRef, timeout_s: float) -> bool:
        """Wait up to `timeout_s` for late answers to such calls. Return whether one is still missing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.has_abandoned(where):
                    self._late_answer.clear()
                    await self._late_answer.wait()
        return self.has_abandoned(where)

    def attribute(self) -> RequestOwner:
        """Return the owner of the message that is being handled."""
        caller = _CALLER.get()
        if caller is not None:
            return (
                RequestOwner(caller.handler, caller, is_sure=True)
                if caller.handler in self._queries
                else RequestOwner()
            )
        if len(self._queries) == 1:
            (handler,) = self._queries
            if not self.has_abandoned(handler.where):
                return RequestOwner(handler, is_sure=self.is_exclusive)
        return RequestOwner()

    def deadlines(self, owner: RequestOwner) -> list[Deadline]:
        """Return the clocks of the calls that may be waiting for the answer to a request."""
        if owner.caller:
            return [owner.caller.clock]
        return [caller.clock for caller in self._calls if caller.handler is owner.handler]
