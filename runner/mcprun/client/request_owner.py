"""Whose a server's request is. A session is shared by queries, and what a server asks seldom names a call.

It can be told whose it is when it comes with a call: as a round of it (MCP 2026-07-28), or over Streamable HTTP on its
own stream, whose messages the SDK hands on in the context in which the call was sent. Else it is the query's that is
alone with the server, unless a call of another query was given up there, and has not been answered since: the server
may still be busy with it. All others are nobody's: none of a query's own answers is ever given to them.
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
from mcprun.runs.records import Usage

REFUSED = -1
"""The JSON-RPC error code for what a user does not allow (MCP, "Sampling", "Error Handling")."""

REFUSAL = "nobody answers this here"
"""What a server is told that gets no answer: always the same, whatever the reason, since its results may hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientResponse:
    """What a request is answered with: the `result` of the wire, or, where there is none, a JSON-RPC error.

    `reason` says for people why it is no more than that; `told` is what the server hears of it. `usage`, `model` and
    `stop_reason` are those of the model that was asked, if one was.
    """

    result: JsonObject | None = None
    reason: str | None = None
    code: int = REFUSED
    told: str = REFUSAL
    usage: Usage | None = None
    model: str | None = None
    stop_reason: str | None = None


LogLevel = Literal["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]
"""Levels of log messages (MCP, "Logging"; RFC 5424), from the lowest on."""


@dataclass(frozen=True, slots=True)
class ClientFeatures:
    """What is offered to servers that ask: they list more tools then.

    `elicit` says how requests of no query's own answers are answered: `decline`, `defaults` or `script`. With
    `sampling`, a model may be asked. `roots` are those of `roots/list`, as the wire has them. `log_level` is from
    which level on servers are asked for log messages; without one they send what they like.
    """

    elicit: str = "decline"
    sampling: bool = True
    roots: tuple[JsonObject, ...] = ()
    log_level: LogLevel | None = None


class RequestHandler(Protocol):
    """One try at a query, to its servers: it answers what is asked on its behalf."""

    @property
    def where(self) -> AttemptRef:
        """Which one it is."""
        ...

    async def answer(
        self, kind: str, request: JsonObject, caller: PendingCall | None, *, is_sure: bool
    ) -> ClientResponse:
        """Answer an elicitation or a sampling (`kind`), whose `params` are `request`.

        `caller` is the call that it is asked for, where that is known. Not `is_sure`: it is this query's because no
        other happens to be there, which another run need not repeat.
        """
        ...


@dataclass(eq=False, slots=True)
class PendingCall:
    """One call in flight, or (`call` is `None`) the request for a prompt or resource.

    `clock` bounds it, and is paused while its server waits for an answer. `deadline` is the query's, and is paused
    while its server asks to wait. `progress` counts the server's notifications of it.
    """

    asker: RequestHandler
    turn: int
    call: int | None
    clock: Deadline
    deadline: Deadline | None = None
    progress: int = 0

    def off_the_clock(self) -> AbstractContextManager[None]:
        """Pause the deadline of the query for the length of the context."""
        return self.deadline.paused() if self.deadline else nullcontext()


@dataclass(frozen=True, slots=True)
class RequestOwner:
    """Whose a request is: the query's, the call's where that is known, and whether that is sure."""

    asker: RequestHandler | None = None
    caller: PendingCall | None = None
    is_sure: bool = False


_CALLER: ContextVar[PendingCall | None] = ContextVar("caller", default=None)


@dataclass(slots=True)
class _Stay:
    """One query's stay with a server: what was told of it, by event, and what is called off when it is over."""

    counts: Counter[str] = field(default_factory=Counter)
    call_off: list[Callable[[], object]] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class ActiveQueries:
    """Who talks to one server. `is_alone` tells that nobody else will, for as long as somebody does.

    `has_asked` is set once the server has asked for something without naming a call.
    """

    is_alone: bool = False
    has_asked: bool = False
    _here: dict[RequestHandler, _Stay] = field(default_factory=dict)
    _given_up: dict[int | str, AttemptRef] = field(default_factory=dict)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _calls: list[PendingCall] = field(default_factory=list)

    @contextmanager
    def attend(self, asker: RequestHandler) -> Iterator[None]:
        """Answer for a query as long as the context lasts; what is still being answered then is called off."""
        self._here[asker] = _Stay()
        try:
            yield
        finally:
            for call_off in self._here.pop(asker).call_off:
                call_off()

    def __contains__(self, asker: RequestHandler | None) -> bool:
        return asker in self._here

    def when_gone(self, asker: RequestHandler, call_off: Callable[[], object]) -> None:
        """Have something called off when the query is over."""
        self._here[asker].call_off.append(call_off)

    def counts(self, asker: RequestHandler) -> Counter[str]:
        """Give what was counted of a query that is here, by the name of an event."""
        return self._here[asker].counts

    @contextmanager
    def calling(self, caller: PendingCall | None) -> Iterator[None]:
        """Note that a call is in flight."""
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

    def gave_up(self, request: int | str) -> None:
        """Record that the call in whose context this runs was given up: the server may go on with it."""
        if caller := _CALLER.get():
            self._given_up[request] = caller.asker.where

    def answered_late(self, request: int | str) -> None:
        """Record that a request which was given up has been answered: the server is done with it."""
        self._given_up.pop(request, None)
        self._answered.set()

    def renewed(self) -> None:
        """Record that the session is a new one: requests of the old one can't reach it."""
        self._given_up.clear()
        self._answered.set()

    def has_left(self, where: AttemptRef) -> bool:
        """Return whether the server may still be busy with a call that another query than `where` has given up."""
        return any(other != where for other in self._given_up.values())

    async def is_left(self, where: AttemptRef, seconds: float) -> bool:
        """Wait for the late answers to such calls, for at most so many seconds. Return whether one is missing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.has_left(where):
                    self._answered.clear()
                    await self._answered.wait()
        return self.has_left(where)

    def owner(self) -> RequestOwner:
        """Return whose the message is that is being handled."""
        caller = _CALLER.get()
        if caller is not None:
            return RequestOwner(caller.asker, caller, is_sure=True) if caller.asker in self._here else RequestOwner()
        if len(self._here) == 1:
            (asker,) = self._here
            if not self.has_left(asker.where):
                return RequestOwner(asker, is_sure=self.is_alone)
        return RequestOwner()

    def clocks(self, owner: RequestOwner) -> list[Deadline]:
        """Give the clocks of the calls that may wait for the answer to a request."""
        if owner.caller:
            return [owner.caller.clock]
        return [caller.clock for caller in self._calls if caller.asker is owner.asker]
