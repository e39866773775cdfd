"""Rewrite event streams so that the SDK can always parse the response to its request."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import httpx2
import mcp_types

from mcprun.client.transports.framing import INVALID_ANSWER
from mcprun.client.transports.http_answers import SESSION, error_json, read_message
from mcprun.client.transports.http_body import RequestId, body_text, without_id
from mcprun.client.transports.http_failure import Delivery, HttpFailure, reason_of


def answer_stream(response: httpx2.Response, number: RequestId, outcome: Delivery, max_bytes: int) -> httpx2.Response:
    """Return a response with the same events, in which the JSON-RPC response to request `number` can be parsed."""
    headers = {name: response.headers[name] for name in ("content-type", SESSION) if name in response.headers}
    events = _Events(_events(response, number, outcome, max_bytes), response)
    return httpx2.Response(response.status_code, headers=headers, stream=events, request=response.request)


async def _events(
    response: httpx2.Response, number: RequestId, outcome: Delivery, max_bytes: int
) -> AsyncGenerator[bytes]:
    """Yield the server's events, up to and including the JSON-RPC response.

    The SDK may resume a stream that ends without one. The failure that is set then holds only if it does not.
    """
    failure = HttpFailure(response.status_code, reason_of(response.status_code, response.reason_phrase))
    source = httpx2.EventSource(response, max_event_size=max_bytes)
    try:
        async for event in source:
            if event.event != "message" or not event.data:
                yield _event_bytes(event, event.data.encode())
                continue
            try:
                data, message = read_message(event.data.encode(), number)
            except ValueError as error:
                outcome.failure = replace(
                    failure,
                    flaw=f"an event cannot be read ({error})",
                    body_text=body_text(without_id(event.data.encode(), number), "application/json"),
                )
                yield _failed_event(number, outcome.failure)
                return
            if is_answer := isinstance(message, mcp_types.JSONRPCResponse | mcp_types.JSONRPCError):
                outcome.failure = None
            yield _event_bytes(event, data)
            if is_answer:
                return
    except httpx2.SSEError:
        flaw = f"an event has more than the {max_bytes:,} bytes that --max-result-bytes allows"
        outcome.failure = replace(failure, flaw=flaw)
        yield _failed_event(number, outcome.failure)
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        flaw = f"the stream was cut off before the answer ({error or type(error).__name__})"
        outcome.failure = replace(failure, flaw=flaw)
        raise
    else:
        outcome.failure = replace(failure, flaw="the stream ended without the answer")


class _Events(httpx2.AsyncByteStream):
    """The body of a response that consists of another response's events."""

    def __init__(self, events: AsyncGenerator[bytes], response: httpx2.Response) -> None:
        self._events = events
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events

    async def aclose(self) -> None:
        """Release the connection."""
        await self._events.aclose()
        await self._response.aclose()


def _event_bytes(event: httpx2.ServerSentEvent, data: bytes) -> bytes:
    """Serialize an event (HTML, "Server-sent events")."""
    lines = [b"event: " + event.event.encode()]
    lines += [b"id: " + event.id.encode()] if event.id else []
    lines += [b"retry: %d" % event.retry] if event.retry is not None else []
    lines += [b"data: " + line for line in data.split(b"\n")] if data else []
    return b"\n".join(lines) + b"\n\n"


def _failed_event(number: RequestId, failure: HttpFailure) -> bytes:
    return b"event: message\ndata: " + error_json(number, INVALID_ANSWER, failure.message()) + b"\n\n"
