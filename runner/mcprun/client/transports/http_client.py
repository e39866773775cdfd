"""The HTTP client behind the SDK's Streamable HTTP transport, which rewrites responses and renews lost sessions.

The SDK reports most statuses with one message that omits the server's text, and ends the connection if it cannot parse
a body. So it gets only what it can parse: each response to a request becomes the server's JSON-RPC response, or an
error that describes the HTTP response. A failure before the response headers is a lost connection, left to the SDK.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import anyio
import httpx2
import mcp_types
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcprun._util.long_integers import carrier
from mcprun.client.transports.bounded_body import BoundedStream
from mcprun.client.transports.http_answers import SESSION, failed, is_prescribed, read_error, read_message, replied
from mcprun.client.transports.http_body import (
    ERROR_BODY_SECONDS,
    RequestId,
    failure_from,
    failure_of,
    has_events,
    is_compressed,
    media_type,
    read_body,
)
from mcprun.client.transports.http_events import answer_stream
from mcprun.client.transports.http_failure import Delivery, current_delivery
from mcprun.client.transports.http_reports import PING, PING_SECONDS, Reports, is_followed, reason_of_loss

_SESSION_METHODS = frozenset({"initialize", "notifications/initialized", "logging/setLevel"})
"""Methods that open a session, and are sent again to open its replacement."""

_NOT_COPIED = ("content-length", "mcp-protocol-version", SESSION, "last-event-id", "mcp-method", "mcp-name")
"""Headers that are not copied from one request to another."""


class LostSessionError(Exception):
    """The server no longer knows the session, and did not open a new one."""


@dataclass(frozen=True, slots=True)
class _Posted:
    """The method and the `id` of an outgoing JSON-RPC message. A response has no method, a notification no `id`."""

    method: str | None
    number: RequestId | None

    @property
    def is_request(self) -> bool:
        """Whether the message is a request, to which the server must respond."""
        return self.method is not None and self.number is not None


_REQUEST: ContextVar[RequestId | None] = ContextVar("request", default=None)
"""The `id` of the request that the SDK's running task sent. The same task resumes the request's event stream."""


class HttpClient(httpx2.AsyncClient):
    """Send the SDK's requests. `max_bytes` bounds one message; `connect_s` bounds opening a new session, in seconds."""

    def __init__(self, *, max_bytes: int, connect_s: float, reports: Reports, **options: Any) -> None:
        super().__init__(**options)
        self._max_bytes = max_bytes
        self._connect_s = connect_s
        self._reports = reports
        self._session: str | None = None
        self._opening: dict[str, bytes] = {}
        self._renewing = asyncio.Lock()

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request of the SDK, and return a response that the SDK can parse.

        Raises `LostSessionError`, and any `httpx2` error that occurs before the response headers.
        """
        self._stamp(request)
        if request.method != "POST":
            return self._bound(request, await super().send(request, **options))
        posted = _parse_posted(request.content)
        if posted.method in _SESSION_METHODS:
            self._opening[str(posted.method)] = request.content
        if posted.number is None or posted.method is None:
            return await self._send_unanswered(request, posted)
        _REQUEST.set(posted.number)
        outcome = current_delivery()
        outcome.failure, outcome.cause = None, ""
        response = await self._post(request)
        if is_followed(response):
            return response
        if posted.method == "initialize":
            self._session = response.headers.get(SESSION, "")
        elif await self._is_lost(request, response):
            return await self._send_again(request, response, posted.number, outcome)
        return await self._answer(response, posted.number, outcome)

    def _bound(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """Bound the response to a DELETE, or to a GET, which may resume the event stream of a request."""
        number = _REQUEST.get() if "last-event-id" in request.headers else None
        if is_compressed(response):
            response.stream = BoundedStream(response.stream, 0)
        elif number is not None and response.is_success and has_events(response):
            return answer_stream(response, number, current_delivery(), self._max_bytes)
        elif not has_events(response):
            response.stream = BoundedStream(response.stream, self._max_bytes)
        return response

    # Requests and responses. ----------------------------------------------------------------------------

    async def _post(self, request: httpx2.Request) -> httpx2.Response:
        """Send a POST. Report any error before the response headers as a lost connection."""
        try:
            return await super().send(request, stream=True, follow_redirects=False)
        except Exception as error:
            self._reports.on_lost(reason_of_loss(error))
            raise

    async def _send_unanswered(self, request: httpx2.Request, posted: _Posted) -> httpx2.Response:
        """Send a notification or a response, to which the server does not respond. Report an error status."""
        response = await self._post(request)
        if response.is_error and not (response.status_code == httpx2.codes.NOT_FOUND and SESSION in request.headers):
            failure = await failure_of(response, self._max_bytes)
            self._reports.refused(posted.method or "a response to its request", failure)
        return response

    async def _answer(self, response: httpx2.Response, number: RequestId, outcome: Delivery) -> httpx2.Response:
        """Convert the response to a request into one that the SDK can parse."""
        if has_events(response) and response.is_success and not is_compressed(response):
            return answer_stream(response, number, outcome, self._max_bytes)
        kind, status, headers = media_type(response), response.status_code, response.headers
        body = await read_body(response, self._max_bytes, ERROR_BODY_SECONDS if response.is_error else None)
        failure = replace(failure_from(response, body.data, number), cause=outcome.cause)
        if response.is_error:
            error = None if body.flaw or not _is_json(kind) else read_error(body.data, number)
            if error is None:
                outcome.failure = failure
                return failed(response.request, number, failure)
            is_modern = response.request.headers.get("mcp-protocol-version") in MODERN_PROTOCOL_VERSIONS
            if not (is_modern and is_prescribed(status, error[1].code)):
                outcome.failure = failure
            return replied(response.request, error[0], headers)
        if status == httpx2.codes.OK and _is_json(kind) and not body.flaw and body.data:
            try:
                data, message = read_message(body.data, number)
                if isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError):
                    return replied(response.request, data, headers)
                failure = replace(failure, flaw=f"the response holds {message.method}, which is not an answer")
            except ValueError as error:
                failure = replace(failure, flaw=f"the response cannot be read ({error})")
        outcome.failure = replace(failure, flaw=body.flaw or failure.flaw or _flaw(response, kind, body.data))
        return failed(response.request, number, outcome.failure)

    # Sessions of the 2025 protocols. --------------------------------------------------------------------

    def _stamp(self, request: httpx2.Request) -> None:
        """Put the current session's id into a request: the SDK always sends that of the first session."""
        if self._session is not None and SESSION in request.headers:
            if self._session:
                request.headers[SESSION] = self._session
            else:
                del request.headers[SESSION]

    async def _is_lost(self, request: httpx2.Request, response: httpx2.Response) -> bool:
        """Return whether a server refused a request because it does not know the session.

        404 means that (MCP, "Session Management"). Many servers send 400 or 503 instead, which may have another cause.
        Then a `ping` in the same session gets the same status, or 404, only if the session is lost.
        """
        status = response.status_code
        if SESSION not in request.headers or status not in (400, 404, 503):
            return False
        return status == 404 or await self._ping(request) in (status, 404)

    async def _ping(self, request: httpx2.Request) -> int | None:
        """Send a `ping` in the session of a request. Return its status, or None if it fails or times out."""
        ping = self._build_like(request, PING, request.headers[SESSION])
        with anyio.move_on_after(PING_SECONDS):
            try:
                response = await super().send(ping, stream=True, follow_redirects=False)
                await response.aclose()
            except Exception:  # noqa: BLE001  a ping that fails says nothing about the session
                return None
            return response.status_code
        return None

    async def _send_again(
        self, request: httpx2.Request, response: httpx2.Response, number: RequestId, outcome: Delivery
    ) -> httpx2.Response:
        """Send a request again in a new session. The server never ran it, because its session was lost."""
        status = response.status_code
        lost = await failure_of(response, self._max_bytes)
        await self._renew(request, status)
        if outcome.has_ended:
            outcome.failure = lost
            return failed(request, number, lost)
        again = self.build_request("POST", request.url, headers=request.headers, content=request.content)
        again.extensions = request.extensions
        self._stamp(again)
        response = await self._post(again)
        if await self._is_lost(again, response):
            outcome.failure = replace(await failure_of(response, self._max_bytes), is_lost_session=True)
            return failed(request, number, outcome.failure)
        return await self._answer(response, number, outcome)

    async def _renew(self, request: httpx2.Request, status: int) -> None:
        """Replace the session of a request, unless another request already has. Raises `LostSessionError`."""
        stale = request.headers[SESSION]
        async with self._renewing:
            if self._session != stale:
                return
            started = time.monotonic()
            try:
                async with asyncio.timeout(self._connect_s):
                    self._session = await self._open(request)
            except Exception as error:  # noqa: BLE001  network, JSON and SDK errors all end the connection
                reason = f"the server lost the session (HTTP {status}) and opened no new one"
                message = f"{reason}: {error}" if str(error) else f"{reason} ({type(error).__name__})"
                self._reports.on_lost(message)
                raise LostSessionError(message) from None
            self._reports.renewed(status, time.monotonic() - started)

    async def _open(self, request: httpx2.Request) -> str:
        """Repeat the messages that opened the lost session. Return the id of the new one, or "" if it has none."""
        first = self._build_like(request, self._opening["initialize"])
        posted = _parse_posted(first.content)
        outcome = Delivery()
        response = await super().send(first, stream=True, follow_redirects=False)
        session = response.headers.get(SESSION, "")
        result = await _result(await self._answer(response, posted.number or 0, outcome))
        if outcome.failure:
            raise LostSessionError(outcome.failure.message())
        protocol, previous = result.get("protocolVersion"), request.headers.get("mcp-protocol-version")
        if previous and protocol != previous:
            raise LostSessionError(f"it now negotiates {protocol}, previously {previous}")
        for method, content in self._opening.items():
            if method != "initialize":
                await (await super().send(self._build_like(request, content, session, previous), stream=True)).aclose()
        return str(session)

    def _build_like(
        self, request: httpx2.Request, content: bytes, session: str = "", protocol: str | None = None
    ) -> httpx2.Request:
        """Build a POST to the URL of a request, with those of its headers that are not specific to it."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_COPIED}
        headers |= {SESSION: session} if session else {}
        headers |= {"mcp-protocol-version": protocol} if protocol else {}
        return self.build_request("POST", request.url, headers=headers, content=content)


def _parse_posted(content: bytes) -> _Posted:
    message = json.loads(content)
    return _Posted(message.get("method"), message.get("id"))


def _is_json(kind: str) -> bool:
    return kind.startswith("application/json")


def _flaw(response: httpx2.Response, kind: str, data: bytes) -> str:
    """Describe what is wrong with a response that has neither an error status nor a JSON-RPC response."""
    if response.next_request:
        where = response.next_request.url.copy_with(userinfo=b"", query=None, fragment=None)
        return f"the redirect to {where} is not followed"
    if not data:
        return "the response is empty"
    if response.status_code == httpx2.codes.OK:
        return f"the response is {kind or 'of no content type'}, expected application/json or text/event-stream"
    return "that is not an answer"


async def _result(response: httpx2.Response) -> dict[str, Any]:
    """Parse the result in a response that was built for the SDK. Raises `LostSessionError` for a JSON-RPC error."""
    answer: dict[str, Any] = {}
    if has_events(response):
        async for event in httpx2.EventSource(response, max_event_size=None):
            answer = json.loads(event.data) if event.data else {}
            if answer.keys() & {"result", "error"}:
                break
        await response.aclose()
    else:
        answer = json.loads(await response.aread())
    if "error" in answer:
        raise LostSessionError(str(answer["error"].get("message")))
    return dict(carrier.take(answer.get("result")) or {})
