"""The Streamable HTTP transport: the SDK's, over an HTTP client that reads responses and renews lost sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client

from mcprun.client.transports.http_client import HttpClient
from mcprun.client.transports.http_reports import Reports, well_formed_bodies

HTTP_SECONDS = 30.0
"""Connecting, writing, and waiting for a free connection: the MCP SDK's own default."""

_DELETE_SECONDS = 2.0
"""Ending a session is a courtesy (MCP, "Session Management"): a server that does not answer holds nobody up."""

_SLACK_BYTES = 4096
"""What the SDK's bound for an event is above ours, so that ours is met first and described in its own words."""


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
    """Yield the streams of messages to and from a server at a URL.

    A call's deadline is the caller's: reading has no time-out of its own, but for the end of a session.

    Args:
        url: The server's endpoint.
        headers: Sent with every request.
        max_bytes: The most that one message of the server may have.
        connect_s: Seconds that opening a new session may take, once the first one is lost.
        reports: Where what happens to the connection is reported.
        auth: Adds to each request what the server asks for.
    """

    async def hurry(request: httpx2.Request) -> None:
        if request.method == "DELETE":
            request.extensions = {**request.extensions, "timeout": httpx2.Timeout(_DELETE_SECONDS).as_dict()}

    async with (
        HttpClient(
            max_bytes=max_bytes,
            connect_s=connect_s,
            reports=reports,
            headers={"accept-encoding": "identity", **headers},
            timeout=httpx2.Timeout(HTTP_SECONDS, read=None),
            auth=auth,
            event_hooks={"request": [hurry], "response": [well_formed_bodies(reports.replaced)]},
        ) as client,
        streamable_http_client(url, http_client=client, max_sse_event_size=max_bytes + _SLACK_BYTES) as streams,
    ):
        yield streams
