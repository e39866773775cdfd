"""Track the messages of one connection between a transport and the SDK's session.

Each response is matched with its request, even if its id is missing or has the wrong type. The probe for newer
protocols has its own time limit. A server that floods its client can't starve the event loop.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import mcp_types
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId
from pydantic import ValidationError

from mcprun._util.tasks import retrieve
from mcprun.client.transports.framing import error_text, read_message, unreadable
from mcprun.limits import MAX_TRACE_CHARS

PROBE = "server/discover"
"""The request that probes whether a server speaks a newer protocol (MCP 2026-07-28, "Discovery")."""

_NEGOTIATION = frozenset({PROBE, "initialize"})
_LIST, _LISTEN = "tools/list", "subscriptions/listen"
_CANCELLED = "notifications/cancelled"

_CANCELLATION_SECONDS = 0.25
"""Longest wait for the notification that cancels a request to be sent. The server may no longer read."""

_TURN = 32
"""Messages read in a row before other tasks and timers of the event loop run."""

_MAX_UNANSWERED = 500
"""Maximum unanswered requests from a server. Reading pauses until some have been answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficObserver:
    """Callbacks of `Traffic`.

    Args:
        sending: Called with the method of each request before it is sent.
        unprobed: Called with the time limit of the probe if it was not answered in time.
        progressed: Called with the progress and the total of a `tools/list` each time the progress increases.
        stray: Called for each response whose id matches no request, with a description and whether the response was
            used for the only pending request.
        gave_up: Called with the id of each request that is cancelled, in the context in which it was sent.
        late: Called with the id of each cancelled request that is answered after all.
    """

    sending: Callable[[str], None] = lambda _: None
    unprobed: Callable[[float], None] = lambda _: None
    progressed: Callable[[float, float | None], None] = lambda *_: None
    stray: Callable[[str, bool], None] = lambda *_: None
    gave_up: Callable[[RequestId], None] = lambda _: None
    late: Callable[[RequestId], None] = lambda _: None


class Traffic:
    """The requests in flight on one connection, in both directions.

    `last_error` is the error of the server's last message, if that was a JSON-RPC error.

    Args:
        max_bytes: Maximum size of a message.
        probe_s: Time limit of the probe for newer protocols, in seconds; None leaves it to the SDK.
        observer: The callbacks for events of the connection.
    """

    def __init__(
        self, max_bytes: int, probe_s: float | None = None, observer: TrafficObserver = TrafficObserver()
    ) -> None:
        self.is_negotiating = probe_s is not None
        self._max_bytes = max_bytes
        self._probe_s = probe_s
        self._observer = observer
        self._highest: dict[RequestId, float] = {}
        self._waiting: dict[RequestId, str] = {}
        self._abandoned: set[RequestId] = set()
        self._issued: set[RequestId] = set()
        self._last_id = 0
        self._unanswered: set[RequestId] = set()
        self._has_capacity = asyncio.Event()
        self._unread = 0
        self._probe_ended = asyncio.Event()
        self._probe_timer: asyncio.TimerHandle | None = None
        self._probe_id: RequestId | None = None
        self.last_error: ErrorData | None = None

    @asynccontextmanager
    async def wrap(self, transport: Any, on_end: Callable[[], None]) -> AsyncIterator[tuple[Any, Any]]:
        """Wrap an SDK transport and yield its streams. `on_end` is called when the connection's read stream ends."""
        try:
            async with transport as (read, write):
                yield _Incoming(read, self, on_end), _Outgoing(write, self)
        finally:
            self._stop_probe()

    async def pace(self) -> None:
        """Yield to other tasks every `_TURN` messages, and wait while too many server requests are unanswered."""
        self._unread += 1
        if self._unread >= _TURN:
            self._unread = 0
            await asyncio.sleep(0)
        while len(self._unanswered) >= _MAX_UNANSWERED:
            self._has_capacity.clear()
            await self._has_capacity.wait()

    def begin(self, message: Any) -> None:
        """Record a message before it is sent. Add a progress token to `tools/list`."""
        if isinstance(message, JSONRPCRequest):
            key = coerce_request_id(message.id)
            if isinstance(key, int):
                self._last_id = max(self._last_id, key)
            else:
                self._issued.add(key)
            if self._probe_id is not None:  # the SDK has given up on the probe
                self._give_up_probe()
            self._waiting[key] = message.method
            self.is_negotiating = self.is_negotiating and message.method in _NEGOTIATION
            if message.method == PROBE and self._probe_s is not None:
                self._probe_id = key
                self._probe_timer = asyncio.get_running_loop().call_later(self._probe_s, self._probe_ended.set)
            if message.method == _LIST:  # the SDK's client sends no progress token with it
                meta = {**((message.params or {}).get("_meta") or {}), "progressToken": message.id}
                message.params = {**(message.params or {}), "_meta": meta}
                self._highest = {key: -math.inf}
            self._observer.sending(message.method)
        elif isinstance(message, JSONRPCNotification) and message.method == _CANCELLED:
            key = coerce_request_id((message.params or {})["requestId"])
            if self._waiting.pop(key, None):
                self._abandoned.add(key)
                self._observer.gave_up(key)

    def mark_sent(self, message: Any) -> None:
        """Record that a message was sent: a response settles the server's request."""
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._settle(message.id)

    def forget(self, message: Any) -> None:
        """Forget a request that could not be sent."""
        if isinstance(message, JSONRPCRequest):
            key = coerce_request_id(message.id)
            self._waiting.pop(key, None)
            if key == self._probe_id:
                self._stop_probe()

    async def wait_probe_ended(self) -> None:
        """Wait until the time limit of the probe has passed."""
        await self._probe_ended.wait()

    def no_probe(self) -> SessionMessage | None:
        """Return a timeout error as the response to the probe; None if the server has answered it meanwhile."""
        request_id = self._probe_id
        if request_id is None:
            return None
        self._give_up_probe()
        error = ErrorData(code=mcp_types.REQUEST_TIMEOUT, message="the probe was not answered in time")
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error))

    def _give_up_probe(self) -> None:
        self._stop_probe()
        self._observer.unprobed(self._probe_s or 0.0)

    def match_incoming(self, item: SessionMessage | Exception) -> SessionMessage | Exception | None:
        """Record an incoming message and match it with its request. Return None if it must be dropped."""
        self.last_error = None
        if isinstance(item, ValidationError):
            return self._reread(item)
        if isinstance(item, ValueError):
            self._observer.stray(str(item), False)
            return None
        if not isinstance(item, SessionMessage):
            return item
        message = item.message
        self.last_error = message.error if isinstance(message, JSONRPCError) else None
        match message:
            case JSONRPCRequest():
                self._unanswered.add(coerce_request_id(message.id))
            case JSONRPCNotification(
                method="notifications/cancelled", params={"requestId": str() | int() as request_id}
            ):
                self._settle(request_id)
            case JSONRPCNotification(method="notifications/progress") if self._highest:
                self._note_progress(message.params or {})
            case JSONRPCResponse() | JSONRPCError():
                return item if self._is_for_a_request(message) else None
        return item

    def _is_for_a_request(self, message: JSONRPCResponse | JSONRPCError) -> bool:
        """Match a response with its request, and return whether it has one.

        A response whose id is missing or has the wrong type is given the id of the only pending request. Late and
        repeated responses keep their id, and the SDK drops them.
        """
        key = None if message.id is None else coerce_request_id(message.id)
        if key not in self._waiting and not self._was_issued(key):
            candidates = [one for one, method in self._waiting.items() if method != _LISTEN]
            described = _describe(message, len(candidates) + len(self._abandoned))
            if isinstance(key, int) or len(candidates) != 1 or self._abandoned:
                self._observer.stray(described, False)
                return False
            if isinstance(message, JSONRPCResponse):
                self._observer.stray(described, True)
            key = candidates[0]
        if key == self._probe_id:
            self._stop_probe()
        if key is not None:
            message.id = key  # the id as sent: the server may have returned it as text
            self._waiting.pop(key, None)
            if key in self._abandoned:
                self._abandoned.remove(key)
                self._observer.late(key)
            self._highest.pop(key, None)
        return True

    def _note_progress(self, params: dict[str, Any]) -> None:
        match params:
            case {"progressToken": str() | int() as token, "progress": int() | float() as progress}:
                total = params.get("total")
                if progress > self._highest.get(coerce_request_id(token), math.inf):
                    self._highest[coerce_request_id(token)] = progress
                    self._observer.progressed(progress, total if isinstance(total, int | float) else None)

    def _was_issued(self, key: RequestId | None) -> bool:
        return 0 < key <= self._last_id if isinstance(key, int) else key in self._issued

    def _reread(self, error: ValidationError) -> SessionMessage | None:
        """Parse a message again that an SDK transport rejected. The transport passes on its `error` instead."""
        detail = error.errors(include_url=False)
        values = (one["input"] for one in detail if one["type"] == "missing" and isinstance(one["input"], dict))
        value = next(values, detail[0]["input"])
        data = (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")
        try:
            item = SessionMessage(read_message(data, self._max_bytes))
        except ValueError as problem:
            self._observer.stray(unreadable(problem, data), False)
            return None
        taken = self.match_incoming(item)
        return taken if isinstance(taken, SessionMessage) else None

    def _settle(self, request_id: RequestId | None) -> None:
        if request_id is not None:
            self._unanswered.discard(coerce_request_id(request_id))
            self._has_capacity.set()

    def _stop_probe(self) -> None:
        """Forget the probe, so that a late response to it is not matched with any other request."""
        if self._probe_timer:
            self._probe_timer.cancel()
            self._probe_timer = None
        self._probe_ended.clear()
        if self._probe_id is not None:
            self._waiting.pop(self._probe_id, None)
            self._probe_id = None


class _Stream:
    """A transport's stream, wrapped for the SDK's session."""

    def __init__(self, inner: Any, traffic: Traffic) -> None:
        self._inner = inner
        self._traffic = traffic

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)


class _Incoming(_Stream):
    def __init__(self, inner: Any, traffic: Traffic, on_end: Callable[[], None]) -> None:
        super().__init__(inner, traffic)
        self._on_end = on_end
        self._next: asyncio.Future[Any] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            await self._traffic.pace()
            try:
                item = await self._next_message()
            except BaseException:  # end of stream, a transport error, or cancellation of the reading task
                self._on_end()
                raise
            if (message := self._traffic.match_incoming(item)) is not None:
                return message

    async def _next_message(self) -> Any:
        """Return the next message. During negotiation, that may be a timeout error in place of the probe's response."""
        if not self._next and not self._traffic.is_negotiating:
            return await self._inner.__anext__()
        if not self._next:
            self._next = asyncio.ensure_future(self._inner.__anext__())
            self._next.add_done_callback(retrieve)
        while True:
            probe_ended = asyncio.ensure_future(self._traffic.wait_probe_ended())
            try:
                await asyncio.wait({self._next, probe_ended}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                probe_ended.cancel()
            if self._next.done():
                taken, self._next = self._next, None
                return taken.result()
            if error := self._traffic.no_probe():
                return error

    async def __aexit__(self, *error: object) -> None:
        if self._next:
            self._next.cancel()
            await asyncio.wait({self._next})
        await super().__aexit__(*error)


class _Outgoing(_Stream):
    def __init__(self, inner: Any, traffic: Traffic) -> None:
        super().__init__(inner, traffic)
        self._late: set[asyncio.Task[None]] = set()

    async def send(self, item: SessionMessage) -> None:
        self._traffic.begin(item.message)
        if isinstance(item.message, JSONRPCNotification) and item.message.method == _CANCELLED:
            await self._send_cancellation(item)
            return
        try:
            await self._inner.send(item)
        except BaseException:
            self._traffic.forget(item.message)
            raise
        self._traffic.mark_sent(item.message)

    async def _send_cancellation(self, item: SessionMessage) -> None:
        """Send a cancellation, without waiting long if it is blocked: the cancelled request is out of time."""
        sending = asyncio.create_task(self._inner.send(item))
        sending.add_done_callback(retrieve)
        self._late.add(sending)
        sending.add_done_callback(self._late.discard)
        await asyncio.wait({sending}, timeout=_CANCELLATION_SECONDS)

    async def __aexit__(self, *error: object) -> None:
        for sending in self._late:
            sending.cancel()
        await super().__aexit__(*error)


def _describe(message: JSONRPCResponse | JSONRPCError, waiting: int) -> str:
    """Describe a response that matches no request, with the server's own text."""
    what = "an error" if isinstance(message, JSONRPCError) else "a result"
    which = "without an id" if message.id is None else f"whose id ({json.dumps(message.id)[:40]}) matches no request"
    text = error_text(message.error) if isinstance(message, JSONRPCError) else json.dumps(message.result, default=str)
    count = {0: "no request was", 1: "one request was"}.get(waiting, f"{waiting} requests were")
    return f"{what} {which} while {count} pending: {text[:MAX_TRACE_CHARS]}"
