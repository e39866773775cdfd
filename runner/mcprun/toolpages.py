"""A server's tools, page by page, when it is connected and again when it says that they have changed."""

from __future__ import annotations

import asyncio

import anyio
from mcp import Client, MCPError
from pydantic import ValidationError

from mcprun.errors import ErrorKind, RunError
from mcprun.events import Emit, ToolsChanged, Warned
from mcprun.limits import MAX_TOOL_PAGES
from mcprun.records import JsonObject
from mcprun.server import Server, first_problem
from mcprun.tools import ToolSet, changes

_FAILURES = (RunError, MCPError, TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError)


async def list_tools(client: Client) -> list[JsonObject]:
    """Read all pages of `tools/list`, as the wire has them. Raises `RunError` (`bad_tools`) for what can't be read."""
    if client.server_capabilities.tools is None:
        return []
    tools: list[JsonObject] = []
    cursor: str | None = None
    seen: set[str] = set()
    try:
        for _ in range(MAX_TOOL_PAGES):
            page = await client.list_tools(cursor=cursor)
            tools += [tool.model_dump(by_alias=True, mode="json", exclude_unset=True) for tool in page.tools]
            cursor = page.next_cursor
            if not cursor or cursor in seen:
                return tools
            seen.add(cursor)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]["input"]  # the tool itself, where a field of it is missing
        named = f" (tool {wrong['name']!r})" if isinstance(wrong, dict) and "name" in wrong else ""
        message = f"the server's tool list is invalid: {first_problem(error)}{named}"
        raise RunError(ErrorKind.BAD_TOOLS, message) from None
    raise RunError(ErrorKind.BAD_TOOLS, f"the server's tool list does not end: {MAX_TOOL_PAGES} pages were read")


async def relisted(client: Client, server: Server, seconds: float, emit: Emit) -> ToolSet | None:
    """List the tools of a server again, within so many seconds, and tell what has changed.

    Gives nothing where that can't be done, which is told as well: a server that is gone will be met by the next call.
    """
    try:
        async with asyncio.timeout(seconds):
            listed = await list_tools(client)
    except _FAILURES as error:
        why = str(error) or type(error).__name__
        emit(Warned(message=f"the server says that its tools have changed, and they can't be listed again: {why}"))
        return None
    told = changes(server.tools.listed, listed)
    emit(ToolsChanged(server=server.number, changes=told or "none"))
    if told:
        emit(Warned(message=f"the server has changed its tools, for the queries that begin now: {told}"))
    return await asyncio.to_thread(ToolSet.of, listed)
