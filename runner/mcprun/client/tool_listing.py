"""List a server's tools, all pages: on connecting, and again when the server reports that they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio
from mcp import Client, MCPError
from pydantic import ValidationError

from mcprun._util.deadline import Deadline
from mcprun._util.json_value import JsonObject
from mcprun._util.object_validation import problem
from mcprun._util.surrogates import well_formed_json
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.list_items import Page, repeated_cursor_message
from mcprun.client.session import ServerSession
from mcprun.client.transports.framing import error_text
from mcprun.client.unvalidated_results import tools_page
from mcprun.errors import ErrorKind, RunError
from mcprun.limits import MAX_TOOL_PAGES
from mcprun.runs.events import Emit, ToolsChanged, ToolsListed, WarningEvent
from mcprun.runs.run_record import Malformed
from mcprun.tools.toolset import ToolSet, changes

_FAILURES = (RunError, MCPError, TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass(frozen=True, slots=True)
class ListedTools:
    """The tools of `tools/list` in wire form, and the malformed items of that list."""

    tools: list[JsonObject] = field(default_factory=list)
    malformed: list[Malformed] = field(default_factory=list)

    def finite(self, callbacks: ClientCallbacks) -> ListedTools:
        """Return the list with NaN, infinite numbers and long integers replaced in its tools. `callbacks` warns."""
        return replace(self, tools=callbacks.finite(self.tools, "tools/list"))


async def list_tools(client: Client, warn: Callable[[str], None]) -> ListedTools:
    """Return the tools on all pages of `tools/list`. A repeated cursor ends the list, with a warning.

    Raises `RunError` (`bad_tools`) if a page is invalid, or if there are more than `MAX_TOOL_PAGES`.
    """
    found = ListedTools()
    if client.server_capabilities.tools is None:
        return found
    cursor: str | None = None
    seen: set[str] = set()
    try:
        for _ in range(MAX_TOOL_PAGES):
            page = await client.list_tools(cursor=cursor)
            listed = [tool.model_dump(by_alias=True, exclude_unset=True) for tool in page.tools]
            found.tools.extend(well_formed_json(listed))
            found.malformed.extend(_malformed_items(tools_page(page.meta), {tool.name for tool in page.tools}))
            cursor = page.next_cursor
            if cursor in seen:
                warn(repeated_cursor_message("tools/list", cursor))
            if not cursor or cursor in seen:
                return found
            seen.add(cursor)
    except ValidationError as error:
        raise RunError(ErrorKind.BAD_TOOLS, f"the server's tool list is invalid: {problem(error)}") from None
    raise RunError(ErrorKind.BAD_TOOLS, f"the server's tool list has more than {MAX_TOOL_PAGES} pages")


def _malformed_items(page: Page | None, valid_names: set[str]) -> list[Malformed]:
    """Return the malformed items of a page. `valid_names` holds the names of the tools that the SDK accepted."""
    if page is None:
        return []
    dropped = dict.fromkeys(tool["name"] for tool in page.items if tool["name"] not in valid_names)
    why = "is left out: an x-mcp-header of its input schema is invalid"
    return page.malformed + [Malformed(item=name, rule="malformed", message=why) for name in dropped]


async def list_again(client: Client, server: ServerSession, timeout_s: float, emit: Emit) -> ToolSet | None:
    """List the tools of a server again within `timeout_s`, emit what has changed, and return them.

    If they can't be listed, emit a warning and return None. If the server is gone, the next call fails.
    """
    try:
        server.callbacks.list_clock = Deadline(timeout_s, server.max_call_seconds)
        async with server.callbacks.list_clock:
            listed = (await list_tools(client, server.callbacks.warn_once)).finite(server.callbacks)
    except _FAILURES as error:
        why = error_text(error.error) if isinstance(error, MCPError) else str(error) or type(error).__name__
        emit(WarningEvent(message=f"the server reported that its tools changed, but listing them failed: {why}"))
        return None
    tools = await asyncio.to_thread(ToolSet.of, listed.tools, listed.malformed)
    diff = changes(server.tools.listed, tools.listed)
    emit(ToolsChanged(server=server.number, changes=diff or "none"))
    if diff or tools.notes != server.tools.notes:
        emit(ToolsListed.of(server.number, listed.tools, listed.malformed))
    if diff:
        emit(WarningEvent(message=f"the server's tools changed, effective for queries that start now: {diff}"))
    for warning in tools.warnings:
        if warning not in server.tools.warnings:
            emit(WarningEvent(message=warning))
    return tools
