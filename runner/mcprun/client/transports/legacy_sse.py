"""The legacy HTTP+SSE transport (MCP 2024-11-05): one event stream, and an endpoint that messages are posted to.

It replaces the SDK's `sse_client`, which limits an event to 1 MiB, sends nothing more after one refused message, and
never completes the request in that message.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Self
from urllib.parse import urljoin

import anyio
import httpx2
import mcp_types
from mcp.shared.message import SessionMessage

from mcprun._util.tasks import retrieve
from mcprun.client.transports.framing import KEPT_BYTES, LineSplitter, LongLine, read_message, unreadable
from mcprun.client.transports.http_body import failure_of, is_compressed, media_type, read_body
from mcprun.client.transports.http_failure import HttpFailure, current_delivery
from mcprun.client.transports.http_reports import (
    CONNECTIONS,
    HTTP_SECONDS,
    PING,
    PING_ID,
    PING_SECONDS,
    Reports,
    is_followed,
    reason_of_loss,
    well_formed_bodies,
)

_RESPONSE_BYTES, _RESPONSE_SECONDS = 64 * 1024, 5.0
"""Limits for reading the response to a POST: the JSON-RPC response arrives as an event."""

_MAX_REDIRECTS = 5

_NEGOTIATION = frozenset({"server/discover", "initialize"})
"""Requests sent before there is a session that could be lost: many servers refuse `server/discover`."""

_Item = SessionMessage | Exception


class _Incoming:
    """The stream of messages from the server, until its event stream ends."""

    def __init__(self) -> None:
        self._items: asyncio.Queue[_Item | None] = asyncio.Queue()

    def put(self, item: _Item | None) -> None:
        """Add a message, or end the stream with None."""
        self._items.put_nowait(item)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Item:
        item = await self._items.get()
        if item is None:
            self.put(None)
            raise StopAsyncIteration
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.put(None)


class _Outgoing:
    """The stream of messages to the server: each is posted to the endpoint in the task of its sender."""

    def __init__(self, client: httpx2.AsyncClient, endpoint: str, incoming: _Incoming, reports: Reports) -> None:
        self._client = client
        self._endpoint = endpoint
        self._incoming = incoming
        self._reports = reports
        self._is_closed = False

    async def send(self, message: SessionMessage) -> None:
        """Post a message. Raises `anyio.BrokenResourceError` if the connection is lost."""
        if self._is_closed:
            raise anyio.ClosedResourceError
        posted, outcome = message.message, current_delivery()
        outcome.cause = ""
        try:
            response = await self._post(posted.model_dump_json(by_alias=True, exclude_unset=True).encode())
        except httpx2.HTTPError as error:
            self._reports.on_lost(reason_of_loss(error))
            raise anyio.BrokenResourceError from None
        if response.is_success:
            await read_body(response, _RESPONSE_BYTES, _RESPONSE_SECONDS)
            return
        failure = replace(await failure_of(response, _RESPONSE_BYTES), cause=outcome.cause)
        if getattr(posted, "method", "") not in _NEGOTIATION and await self._is_lost(failure.status):
            self._reports.on_lost(f"the server lost the session: {failure.message()}")
            raise anyio.BrokenResourceError
        self._fail_refused(posted, failure)

    def _fail_refused(self, posted: mcp_types.JSONRPCMessage, failure: HttpFailure) -> None:
        """Fail a request that the server refused, since no event will answer it. Report any other message."""
        if not isinstance(posted, mcp_types.JSONRPCRequest):
            self._reports.refused(getattr(posted, "method", "a response to its request"), failure)
            return
        current_delivery().failure = failure
        error = mcp_types.ErrorData(code=mcp_types.INTERNAL_ERROR, message=failure.message())
        self._incoming.put(SessionMessage(mcp_types.JSONRPCError(jsonrpc="2.0", id=posted.id, error=error)))

    async def _post(self, content: bytes) -> httpx2.Response:
        request = self._client.build_request(
            "POST", self._endpoint, content=content, headers={"content-type": "application/json"}
        )
        return await _send(self._client, request)

    async def _is_lost(self, status: int) -> bool:
        """Return whether a status means that the server has lost the session, whose id is in the endpoint's URL.

        404 does. 400 and 503 do if a `ping` gets the same status, or 404.
        """
        if status not in (400, 503):
            return status == httpx2.codes.NOT_FOUND
        with anyio.move_on_after(PING_SECONDS), suppress(httpx2.HTTPError):
            response = await self._post(PING)
            await response.aclose()
            return response.status_code in (status, 404)
        return False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._is_closed = True


@asynccontextmanager
async def legacy_sse(
    url: str, headers: Mapping[str, str], *, max_bytes: int, reports: Reports, auth: httpx2.Auth | None = None
) -> AsyncIterator[tuple[_Incoming, _Outgoing]]:
    """Open the event stream at a URL, and yield the streams of messages from and to the server.

    `max_bytes` bounds one message from the server. `auth` authorizes each request. Raises `httpx2.HTTPStatusError`, or
    `httpx2.SSEError` if the response is not an event stream or names no endpoint.
    """
    async with httpx2.AsyncClient(
        headers={"accept-encoding": "identity", **headers},
        timeout=httpx2.Timeout(HTTP_SECONDS, read=None),
        limits=CONNECTIONS,
        auth=auth,
        event_hooks={"response": [well_formed_bodies(reports.replaced)]},
    ) as client:
        response = await _send(client, client.build_request("GET", url, headers={"accept": "text/event-stream"}))
        try:
            if not response.is_success:
                current_delivery().failure = await failure_of(response, _RESPONSE_BYTES)
                response.raise_for_status()
            if media_type(response) != "text/event-stream" or is_compressed(response):
                raise httpx2.SSEError(f"expected text/event-stream, got {media_type(response) or 'no content type'}")
            incoming = _Incoming()
            endpoint: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            endpoint.add_done_callback(retrieve)
            reading = asyncio.create_task(_read(response, max_bytes, incoming, endpoint, reports), name="events")
            try:
                yield incoming, _Outgoing(client, await endpoint, incoming, reports)
            finally:
                reading.cancel()
                with suppress(asyncio.CancelledError):
                    await reading
        finally:
            await response.aclose()


async def _read(
    response: httpx2.Response, max_bytes: int, incoming: _Incoming, endpoint: asyncio.Future[str], reports: Reports
) -> None:
    """Read the event stream until it ends: queue the messages, and set the endpoint."""
    reason = "the event stream ended"
    try:
        async for name, data in events_of(response, max_bytes):
            if name == b"endpoint" and not endpoint.done():
                endpoint.set_result(_endpoint(response.request.url, data))
            elif name == b"message" and data:
                _queue_message(data, max_bytes, incoming)
    except (httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
        reason = reason_of_loss(error)
    finally:
        reports.on_lost(reason)
        incoming.put(None)
        if not endpoint.done():
            endpoint.set_exception(httpx2.SSEError(reason))


def _queue_message(data: bytes | LongLine, max_bytes: int, incoming: _Incoming) -> None:
    try:
        message = read_message(data, max_bytes)
    except ValueError as error:
        incoming.put(ValueError(unreadable(error, data if isinstance(data, bytes) else data.head)))
        return
    if getattr(message, "id", None) != PING_ID:
        incoming.put(SessionMessage(message))


async def events_of(response: httpx2.Response, max_bytes: int) -> AsyncIterator[tuple[bytes, bytes | LongLine]]:
    """Yield the name and data of each event (HTML, "Server-sent events"). Raises `ValueError` for an endless line."""
    lines, event = LineSplitter(max_bytes), _Event(max_bytes)
    async for part in response.aiter_raw():
        for line in lines.feed(part):
            if line in (b"", b"\r"):
                if event.has_data:
                    yield event.name, event.data
                event = _Event(max_bytes)
            else:
                event.add(line)
        if lines.is_endless:
            raise ValueError(f"the server sent {lines.pending:,} bytes of events without a newline")


class _Event:
    """An event under construction. Only both ends of the data are kept if it has more than `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.name = b"message"
        self.has_data = False
        self._max_bytes = max_bytes
        self._data = b""
        self._tail = b""
        self._length = 0

    @property
    def data(self) -> bytes | LongLine:
        """The data, or both ends of it if it is too long."""
        is_long = self._length > self._max_bytes
        return LongLine(self._data[:KEPT_BYTES], self._tail, self._length) if is_long else self._data

    def add(self, line: bytes | LongLine) -> None:
        """Parse a line, and add its field to the event."""
        head = line if isinstance(line, bytes) else line.head
        field, _, value = head.removesuffix(b"\r").partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event" and value:
            self.name = value
        elif field == b"data":
            self._data += b"\n" + value if self.has_data else value
            self._length += len(value) if isinstance(line, bytes) else line.length
            tail = value if isinstance(line, bytes) else line.tail.removesuffix(b"\r")
            self._tail = (self._tail + tail)[-KEPT_BYTES:]
            self.has_data = True
            if self._length > self._max_bytes:
                self._data = self._data[:KEPT_BYTES]


def _endpoint(url: httpx2.URL, data: bytes | LongLine) -> str:
    """Resolve the endpoint's URL. Raises `ValueError` if its origin differs (MCP 2024-11-05, "HTTP with SSE")."""
    endpoint = httpx2.URL(urljoin(str(url), data.decode(errors="replace") if isinstance(data, bytes) else ""))
    if (endpoint.scheme, endpoint.host, endpoint.port) != (url.scheme, url.host, url.port):
        raise ValueError(f"the endpoint is on another origin: {endpoint.copy_with(query=None)}")
    return str(endpoint)


async def _send(client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
    """Send a request, and follow up to five redirects that `is_followed` allows."""
    for _ in range(_MAX_REDIRECTS):
        response = await client.send(request, stream=True, follow_redirects=False)
        if not is_followed(response):
            break
        await response.aclose()
        assert response.next_request  # noqa: S101  a redirect that is followed has one
        request = response.next_request
    return response
