"""The messages of one connection, on their way between a transport and the SDK's session.

Each answer is matched with the request that it is for, also where its id does not say so. The probe for newer protocols
has a time limit of its own. A server that floods its client leaves the event loop time for everything else.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

import mcp_types
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId
from pydantic import ValidationError

from mcprun._util.tasks import retrieve
from mcprun.client.transports.framing import error_text, read_message, unreadable

PROBE = "server/discover"
"""The request that finds out whether a server speaks a newer protocol (MCP 2026-07-28, "Discovery")."""

_NEGOTIATION = frozenset({PROBE, "initialize"})
_LIST, _LISTEN = "tools/list", "subscriptions/listen"
_CANCELLED = "notifications/cancelled"

_CANCELLATION_SECONDS = 0.25
"""How long a request that was given up waits until its cancellation is sent: a server may not read any more."""

_TURN = 32
"""Messages that are taken before the event loop gets to its timers and to other tasks."""

_MOST_UNANSWERED = 500
"""Requests of a server that are being answered at once; it is not read any further until some have been."""

_SHOWN = 1000
"""Characters of a message that are repeated in a warning."""


class Traffic:
    """The requests in flight on one connection, in both directions.

    `last_error` is the server's last message, if that was a JSON-RPC error.

    Args:
        most: The longest message that is taken, in bytes.
        probe_s: The time limit of the probe for newer protocols; None leaves it to the SDK.
        sending: Is called with the method of each request, before it is sent.
        unprobed: Is called when the probe was not answered in time, with its time limit.
        progressed: Is called with the progress and the total of a list of tools, each time that the progress increases.
        stray: Is called with a description of each answer whose id is of no request, and whether it was taken for the
            answer to the only request that was waiting.
        gave_up: Is called with the id of each request that is given up, in the context in which it was sent.
        late: Is called with the id of each such request that is answered all the same.
    """

    def __init__(
        self,
        *,
        most: int,
        probe_s: float | None = None,
        sending: Callable[[str], None] = lambda _: None,
        unprobed: Callable[[float], None] = lambda _: None,
        progressed: Callable[[float, float | None], None] = lambda *_: None,
        stray: Callable[[str, bool], None] = lambda *_: None,
        gave_up: Callable[[RequestId], None] = lambda _: None,
        late: Callable[[RequestId], None] = lambda _: None,
    ) -> None:
        self.is_negotiating = probe_s is not None
        self._most = most
        self._probe_s = probe_s
        self._sending = sending
        self._unprobed = unprobed
        self._progressed = progressed
        self._highest: dict[RequestId, float] = {}
        self._stray = stray
        self._gave_up = gave_up
        self._late = late
        self._waiting: dict[RequestId, str] = {}
        self._given_up: set[RequestId] = set()
        self._issued: set[RequestId] = set()
        self._last_id = 0
        self._unanswered: set[RequestId] = set()
        self._room = asyncio.Event()
        self._unread = 0
        self._probe_over = asyncio.Event()
        self._probe_timer: asyncio.TimerHandle | None = None
        self._probe_id: RequestId | None = None
        self.last_error: ErrorData | None = None

    @asynccontextmanager
    async def watched(self, transport: Any, ended: Callable[[], None]) -> AsyncIterator[tuple[Any, Any]]:
        """Wrap a transport of the SDK. `ended` is called when the other side ends the connection."""
        try:
            async with transport as (read, write):
                yield _Incoming(read, self, ended), _Outgoing(write, self)
        finally:
            self._stop_probe()

    async def pace(self) -> None:
        """Let other tasks run from time to time, and wait while too many of the server's requests are unanswered."""
        self._unread += 1
        if self._unread >= _TURN:
            self._unread = 0
            await asyncio.sleep(0)
        while len(self._unanswered) >= _MOST_UNANSWERED:
            self._room.clear()
            await self._room.wait()

    def begin(self, message: Any) -> None:
        """Take note of a message that is about to be sent."""
        if isinstance(message, JSONRPCRequest):
            key = coerce_request_id(message.id)
            if isinstance(key, int):
                self._last_id = max(self._last_id, key)
            else:
                self._issued.add(key)
            if self._probe_id is not None:  # the SDK has given the probe up
                self._give_up_probe()
            self._waiting[key] = message.method
            self.is_negotiating = self.is_negotiating and message.method in _NEGOTIATION
            if message.method == PROBE and self._probe_s is not None:
                self._probe_id = key
                self._probe_timer = asyncio.get_running_loop().call_later(self._probe_s, self._probe_over.set)
            if message.method == _LIST:  # the SDK's client asks for no progress of it
                meta = {**((message.params or {}).get("_meta") or {}), "progressToken": message.id}
                message.params = {**(message.params or {}), "_meta": meta}
                self._highest = {key: -math.inf}
            self._sending(message.method)
        elif isinstance(message, JSONRPCNotification) and message.method == _CANCELLED:
            key = coerce_request_id((message.params or {})["requestId"])
            if self._waiting.pop(key, None):
                self._given_up.add(key)
                self._gave_up(key)

    def done(self, message: Any) -> None:
        """Take note of a message that was sent."""
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            self._settle(message.id)

    def failed(self, message: Any) -> None:
        """Forget a request that could not be sent."""
        if isinstance(message, JSONRPCRequest):
            key = coerce_request_id(message.id)
            self._waiting.pop(key, None)
            if key == self._probe_id:
                self._stop_probe()

    async def probe_over(self) -> None:
        """Wait until the probe has taken too long."""
        await self._probe_over.wait()

    def no_probe(self) -> SessionMessage | None:
        """Return the error that answers the probe in the server's place; None if it has been answered meanwhile."""
        request_id = self._probe_id
        if request_id is None:
            return None
        self._give_up_probe()
        error = ErrorData(code=mcp_types.REQUEST_TIMEOUT, message="the probe was not answered in time")
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request_id, error=error))

    def _give_up_probe(self) -> None:
        self._stop_probe()
        self._unprobed(self._probe_s or 0.0)

    def received(self, item: SessionMessage | Exception) -> SessionMessage | Exception | None:
        """Take note of a message that came, and attribute it; return None if it can be for no request."""
        self.last_error = None
        if isinstance(item, ValidationError):
            return self._reread(item)
        if isinstance(item, ValueError):
            self._stray(str(item), False)
            return None
        if not isinstance(item, SessionMessage):
            return item
        message = item.message
        self.last_error = message.error if isinstance(message, JSONRPCError) else None
        match message:
            case JSONRPCRequest():
                self._unanswered.add(coerce_request_id(message.id))
            case JSONRPCNotification(method="notifications/cancelled", params={"requestId": str() | int() as given}):
                self._settle(given)
            case JSONRPCNotification(method="notifications/progress") if self._highest:
                self._note_progress(message.params or {})
            case JSONRPCResponse() | JSONRPCError():
                return item if self._is_for_a_request(message) else None
        return item

    def _is_for_a_request(self, message: JSONRPCResponse | JSONRPCError) -> bool:
        """Match an answer with its request.

        An answer whose id is of another type than those that were issued, or missing, is given the id of the only
        request that it can be for. Late and repeated answers keep their id: the SDK drops them.
        """
        key = None if message.id is None else coerce_request_id(message.id)
        if key not in self._waiting and not self._was_issued(key):
            candidates = [one for one, method in self._waiting.items() if method != _LISTEN]
            described = _described(message, len(candidates) + len(self._given_up))
            if isinstance(key, int) or len(candidates) != 1 or self._given_up:
                self._stray(described, False)
                return False
            if isinstance(message, JSONRPCResponse):
                self._stray(described, True)
            key = candidates[0]
        if key == self._probe_id:
            self._stop_probe()
        if key is not None:
            message.id = key  # as the request has it, where the server sent it as text
            self._waiting.pop(key, None)
            if key in self._given_up:
                self._given_up.remove(key)
                self._late(key)
            self._highest.pop(key, None)
        return True

    def _note_progress(self, params: dict[str, Any]) -> None:
        match params:
            case {"progressToken": str() | int() as token, "progress": int() | float() as progress}:
                total = params.get("total")
                if progress > self._highest.get(coerce_request_id(token), math.inf):
                    self._highest[coerce_request_id(token)] = progress
                    self._progressed(progress, total if isinstance(total, int | float) else None)

    def _was_issued(self, key: RequestId | None) -> bool:
        return 0 < key <= self._last_id if isinstance(key, int) else key in self._issued

    def _reread(self, error: ValidationError) -> SessionMessage | None:
        """Read a message once more that a transport of the SDK could not: it sends on its error in its place."""
        detail = error.errors(include_url=False)
        values = (one["input"] for one in detail if one["type"] == "missing" and isinstance(one["input"], dict))
        value = next(values, detail[0]["input"])
        data = (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")
        try:
            item = SessionMessage(read_message(data, self._most))
        except ValueError as problem:
            self._stray(unreadable(problem, data), False)
            return None
        taken = self.received(item)
        return taken if isinstance(taken, SessionMessage) else None

    def _settle(self, request_id: RequestId | None) -> None:
        if request_id is not None:
            self._unanswered.discard(coerce_request_id(request_id))
            self._room.set()

    def _stop_probe(self) -> None:
        """Forget the probe: its answer, if one still comes, is late and may be for nothing else."""
        if self._probe_timer:
            self._probe_timer.cancel()
            self._probe_timer = None
        self._probe_over.clear()
        if self._probe_id is not None:
            self._waiting.pop(self._probe_id, None)
            self._probe_id = None


class _Stream:
    """A stream of a transport, as the SDK's session sees it."""

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
    def __init__(self, inner: Any, traffic: Traffic, ended: Callable[[], None]) -> None:
        super().__init__(inner, traffic)
        self._ended = ended
        self._next: asyncio.Future[Any] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        while True:
            await self._traffic.pace()
            try:
                item = await self._taken()
            except BaseException:  # its end, a fault of the transport, or the end of the task that reads
                self._ended()
                raise
            if (message := self._traffic.received(item)) is not None:
                return message

    async def _taken(self) -> Any:
        """Take the next message. While a protocol is negotiated, an error may come in place of the probe's answer."""
        if not self._next and not self._traffic.is_negotiating:
            return await self._inner.__anext__()
        if not self._next:
            self._next = asyncio.ensure_future(self._inner.__anext__())
            self._next.add_done_callback(retrieve)
        while True:
            over = asyncio.ensure_future(self._traffic.probe_over())
            try:
                await asyncio.wait({self._next, over}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                over.cancel()
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
            self._traffic.failed(item.message)
            raise
        self._traffic.done(item.message)

    async def _send_cancellation(self, item: SessionMessage) -> None:
        """Send it, and go on without waiting if it is held up: the request that it gives up is out of time."""
        sending = asyncio.create_task(self._inner.send(item))
        sending.add_done_callback(retrieve)
        self._late.add(sending)
        sending.add_done_callback(self._late.discard)
        await asyncio.wait({sending}, timeout=_CANCELLATION_SECONDS)

    async def __aexit__(self, *error: object) -> None:
        for sending in self._late:
            sending.cancel()
        await super().__aexit__(*error)


def _described(message: JSONRPCResponse | JSONRPCError, waiting: int) -> str:
    """Describe an answer that cannot be attributed, with the server's own words."""
    what = "an error" if isinstance(message, JSONRPCError) else "a result"
    which = "without an id" if message.id is None else f"whose id ({json.dumps(message.id)[:40]}) is of no request"
    text = error_text(message.error) if isinstance(message, JSONRPCError) else json.dumps(message.result, default=str)
    count = {0: "no request was", 1: "one request was"}.get(waiting, f"{waiting} requests were")
    return f"{what} {which} while {count} waiting: {text[:_SHOWN]}"
