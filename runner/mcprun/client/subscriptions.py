"""Subscribe to the notifications that a server sends only on request: log messages and changes of its tools."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import mcp_types
from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

if TYPE_CHECKING:
    from mcprun.client.callbacks import ClientCallbacks


async def set_log_level(client: Client, level: str | None) -> None:
    """Set the lowest level of log messages on an older server (MCP, "Logging"). Newer ones get it with each request.

    A server that refuses is left at its own level.
    """
    if level is None or client.protocol_version in MODERN_PROTOCOL_VERSIONS or not client.server_capabilities.logging:
        return
    request = mcp_types.SetLevelRequest.model_validate({"params": {"level": level}})
    with suppress(MCPError):
        await client.session.send_request(request, mcp_types.EmptyResult)


@asynccontextmanager
async def subscribe_tool_changes(client: Client, callbacks: ClientCallbacks) -> AsyncIterator[None]:
    """Subscribe to changes of a server's tools during the context.

    Newer servers notify only subscribers (MCP 2026-07-28, `subscriptions/listen`). Older ones notify every client.
    """
    tools = client.server_capabilities.tools
    if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools and tools.list_changed):
        yield
        return
    listening = asyncio.create_task(_listen(client, callbacks), name="listening")
    try:
        yield
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def _listen(client: Client, callbacks: ClientCallbacks) -> None:
    """Listen until the stream ends. If it is lost, later changes go unnoticed, and nothing else fails."""
    with suppress(MCPError, SubscriptionLost, RuntimeError):
        async with client.listen(tools_list_changed=True) as changes:
            async for _ in changes:
                callbacks.mark_tools_stale()
