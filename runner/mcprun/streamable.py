"""The Streamable HTTP transport, with what the SDK leaves open: bounds on what comes, and sessions that end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from mcprun.bounded import Bounded

_HTTP_SECONDS = 30.0
"""Connecting, writing, and waiting for a free connection: the MCP SDK's own default."""

_DELETE_SECONDS = 2.0
"""Ending a session is a courtesy (MCP, "Session Management"): a server that does not answer holds nobody up."""

_SESSION = "mcp-session-id"


@asynccontextmanager
async def streamable_http(
    url: str,
    headers: Mapping[str, str],
    *,
    most: int,
    expired: Callable[[], None],
    refused: Callable[[int], None],
    auth: httpx2.Auth | None = None,
) -> AsyncIterator[tuple[Any, Any]]:
    """Give the streams of messages to and from a server at a URL.

    A call's deadline is the caller's: reading has no time-out of its own, but for the end of a session. One answer
    has at most `most` bytes. `expired` is called when the server no longer knows the session (status 404), which it
    tells with an error like any other; `refused` with the status of each refusal (4xx) outside a session. `auth` adds
    to each request what the server wants to see.
    """

    async def hurry(request: httpx2.Request) -> None:
        if request.method == "DELETE":
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(_DELETE_SECONDS).as_dict()}

    async def look(response: httpx2.Response) -> None:
        request = response.request
        if response.status_code == 404 and request.method == "POST" and _SESSION in request.headers:
            expired()
        elif response.is_client_error and request.method == "POST":
            refused(response.status_code)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.stream = Bounded(response.stream, 0)  # a megabyte may unfold to gigabytes
        elif response.is_error or "json" in response.headers.get("content-type", ""):
            response.stream = Bounded(response.stream, most)

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
