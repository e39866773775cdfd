"""The Streamable HTTP transport: the SDK's, with an HTTP client that rewrites responses and renews lost sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from mcprun.client.transports.http_client import HttpClient
from mcprun.client.transports.http_reports import CONNECTIONS, HTTP_SECONDS, Reports, well_formed_bodies

_DELETE_SECONDS = 2.0
"""Timeout of the DELETE that ends a session: it is optional (MCP, "Session Management"), and must not delay mcprun."""

_SLACK_BYTES = 4096
"""Margin of the SDK's limit for an event over mcprun's, so that mcprun's applies first, with its own message."""


@asynccontextmanager
async def streamable_http(
    url: str,
    headers: Mapping[str, str],
    *,
    max_bytes: int,
    connect_s: float,
    reports: Reports,
    auth: httpx2.Auth | None = None,
) -> AsyncIterator[tuple[Any, Any]]:
    """Connect to the server at a URL, and yield the streams of messages from and to it.

    Reading has no timeout, except when a session is ended: callers set their own deadlines.

    Args:
        url: The server's endpoint.
        headers: Headers of every request.
        max_bytes: The size limit of a message from the server.
        connect_s: Seconds that opening a new session may take, after the first one is lost.
        reports: Callbacks for events of the connection.
        auth: Authorizes each request.
    """

    async def limit_delete(request: httpx2.Request) -> None:
        if request.method == "DELETE":
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(_DELETE_SECONDS).as_dict()}

    async with (
        HttpClient(
            max_bytes=max_bytes,
            connect_s=connect_s,
            reports=reports,
            headers={"accept-encoding": "identity", **headers},
            timeout=httpx2.Timeout(HTTP_SECONDS, read=None),
            limits=CONNECTIONS,
            auth=auth,
            event_hooks={"request": [limit_delete], "response": [well_formed_bodies(reports.replaced)]},
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=max_bytes + _SLACK_BYTES) as streams,
    ):
        yield streams
