"""The Streamable HTTP transport, with what the SDK leaves open: bounds on what comes, and sessions that end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import McpHttpClientFactory, create_mcp_http_client

from mcprun.bounded import Begun, Bounded, Mended, WellFormed
from mcprun.wire import mended

_HTTP_SECONDS = 30.0
"""Connecting, writing, and waiting for a free connection: the MCP SDK's own default."""

_DELETE_SECONDS = 2.0
"""Ending a session is a courtesy (MCP, "Session Management"): a server that does not answer holds nobody up."""

_SESSION = "mcp-session-id"

_WORDS_SECONDS, _WORDS_BYTES = 2.0, 300
"""How long, and how much, of what is said with a refusal is read."""


@asynccontextmanager
async def streamable_http(
    url: str,
    headers: Mapping[str, str],
    *,
    most: int,
    expired: Callable[[], None],
    refused: Callable[[int, str], None],
    replaced: Callable[[], None],
    auth: httpx2.Auth | None = None,
) -> AsyncIterator[tuple[Any, Any]]:
    """Give the streams of messages to and from a server at a URL.

    A call's deadline is the caller's: reading has no time-out of its own, but for the end of a session. One answer
    has at most `most` bytes. `expired` is called when the server no longer knows the session (status 404), which it
    tells with an error like any other; `refused` with the status of each refusal (4xx, 5xx) outside a session, and with
    what is said there in plain text, which the SDK does not tell. `auth` adds to each request what the server wants to
    see. `replaced` is called for halves of surrogate pairs in what the server sends.
    """

    async def hurry(request: httpx2.Request) -> None:
        if request.method == "DELETE":
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(_DELETE_SECONDS).as_dict()}

    async def look(response: httpx2.Response) -> None:
        request = response.request
        if response.status_code == 404 and request.method == "POST" and _SESSION in request.headers:
            expired()
        elif response.is_error and request.method == "POST" and _SESSION not in request.headers:
            refused(response.status_code, await _words(response))
        response.stream = WellFormed(response.stream, replaced)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.stream = Bounded(response.stream, 0)  # a megabyte may unfold to gigabytes
        elif response.is_error or "json" in response.headers.get("content-type", ""):
            response.stream = Mended(Bounded(response.stream, most), mended, has_events=False)
        elif "event-stream" in response.headers.get("content-type", ""):
            response.stream = Mended(response.stream, mended, has_events=True)

    async with (
        httpx2.AsyncClient(
            headers={"accept-encoding": "identity", **headers},
            timeout=httpx2.Timeout(_HTTP_SECONDS, read=None),
            auth=auth,
            event_hooks={"request": [hurry], "response": [look]},
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=most) as streams,
    ):
        yield streams


def sse_clients(replaced: Callable[[], None]) -> McpHttpClientFactory:
    """Return what makes the HTTP clients of the older SSE transport; see `streamable_http` for `replaced`."""

    async def look(response: httpx2.Response) -> None:
        response.stream = WellFormed(response.stream, replaced)

    def make(
        headers: dict[str, str] | None = None, timeout: httpx2.Timeout | None = None, auth: httpx2.Auth | None = None
    ) -> httpx2.AsyncClient:
        client = create_mcp_http_client(headers=headers, timeout=timeout, auth=auth)
        client.event_hooks = {"response": [look]}
        return client

    return make


async def _words(response: httpx2.Response) -> str:
    """Read the beginning of a body that is plain text, as a line; of any other, nothing: the SDK reads JSON."""
    if response.headers.get("content-type", "text/plain").split(";")[0].strip() != "text/plain":
        return ""
    data = b""
    response.stream = body = Begun(response.stream)  # whoever asks with authorization reads it as well
    with anyio.move_on_after(_WORDS_SECONDS), suppress(httpx2.HTTPError):
        data = await body.beginning(_WORDS_BYTES)
    return " ".join(data[:_WORDS_BYTES].decode("utf-8", "replace").split())
