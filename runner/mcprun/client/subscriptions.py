"""What a server must be asked for before it tells it: log messages, and that its tools have changed."""

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
    """Ask an older server for log messages from a level on (MCP, "Logging"); a newer one hears it with each request.

    One that refuses sends what it likes.
    """
    if level is None or client.protocol_version in MODERN_PROTOCOL_VERSIONS or not client.server_capabilities.logging:
        return
    request = mcp_types.SetLevelRequest.model_validate({"params": {"level": level}})
    with suppress(MCPError):
        await client.session.send_request(request, mcp_types.EmptyResult)


@asynccontextmanager
async def subscribe_tool_changes(client: Client, desk: ClientCallbacks) -> AsyncIterator[None]:
    """Hear of changed tools as long as the context lasts: a newer server tells only those who listen.

    (MCP 2026-07-28, `subscriptions/listen`.) Older ones tell without being asked.
    """
    tools = client.server_capabilities.tools
    if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools and tools.list_changed):
        yield
        return
    listening = asyncio.create_task(_listen(client, desk), name="listening")
    try:
        yield
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


async def _listen(client: Client, desk: ClientCallbacks) -> None:
    """Listen until the server ends it: whoever loses the stream hears no more, and nothing else is lost."""
    with suppress(MCPError, SubscriptionLost, RuntimeError):
        async with client.listen(tools_list_changed=True) as changes:
            async for _ in changes:
                desk.tools_changed()
