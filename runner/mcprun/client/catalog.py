"""List a server's prompts, resources and resource templates, all pages of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import mcp_types

from mcprun._util.json_value import JsonObject
from mcprun.client.list_items import PROMPTS, RESOURCES, TEMPLATES, ItemList, read_page, repeated_cursor_message
from mcprun.client.request_errors import RequestFailed
from mcprun.client.session import ServerSession
from mcprun.limits import MAX_TOOL_PAGES

_NAMED = 10
"""Maximum names of a list shown in a message."""

_NAME = 80
"""Maximum characters of a name shown in a message."""

OnMalformed = Callable[[str], None]
"""Called with a message that names a malformed item that is left out, or a malformed field that is ignored."""


def _ignore(message: str) -> None:
    del message


async def list_prompts(
    server: ServerSession, timeout_s: float, on_malformed: OnMalformed = _ignore
) -> list[JsonObject]:
    """Return the prompts in wire form; empty if the server does not support prompts.

    `timeout_s` is the time limit for each page. A malformed prompt is left out, and `on_malformed` is called with a
    message that names it. Raises `RequestFailed` if the list can't be read, `QueryError` (`server_died`) if the server
    is gone.
    """
    return await _pages(server, mcp_types.ListPromptsRequest, PROMPTS, timeout_s, on_malformed)


async def list_resources(
    server: ServerSession, timeout_s: float, on_malformed: OnMalformed = _ignore
) -> list[JsonObject]:
    """Return the resources, as `list_prompts` does the prompts."""
    return await _pages(server, mcp_types.ListResourcesRequest, RESOURCES, timeout_s, on_malformed)


async def list_templates(
    server: ServerSession, timeout_s: float, on_malformed: OnMalformed = _ignore
) -> list[JsonObject]:
    """Return the resource templates, as `list_prompts` does the prompts."""
    return await _pages(server, mcp_types.ListResourceTemplatesRequest, TEMPLATES, timeout_s, on_malformed)


def names(items: Iterable[JsonObject], key: str) -> str:
    """Return the names of the first `_NAMED` items on one line: `a, b and 3 more`; `none` for an empty list."""
    found = [" ".join(str(item.get(key)).split())[:_NAME] for item in items]
    more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more if found else "none"


async def _pages(
    server: ServerSession, request: Any, listed: ItemList, timeout_s: float, on_malformed: OnMalformed
) -> list[JsonObject]:
    if not server.has("prompts" if listed is PROMPTS else "resources"):
        return []
    what = f"the list of {listed.noun}s"
    found: list[JsonObject] = []
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_TOOL_PAGES):
        page_request = request(params=mcp_types.PaginatedRequestParams(cursor=cursor))
        try:
            page = read_page(listed, await server.request(page_request, what, timeout_s))
        except RequestFailed as error:
            # Many servers have resources but no resource templates.
            if error.reply and error.reply.code == mcp_types.METHOD_NOT_FOUND:
                return found
            raise
        except ValueError as error:
            raise RequestFailed(f"the server sent an invalid result: {error}", "invalid result") from None
        for one in page.malformed:
            mark = ":" if one.rule == "ignored" else ""
            on_malformed(f"{listed.noun} {one.item!r}{mark} {one.message}")
        found += page.items
        cursor = page.cursor
        if cursor in seen:
            server.callbacks.warn_once(repeated_cursor_message(page_request.method, cursor))
        if not cursor or cursor in seen:
            return found
        seen.add(cursor)
    raise RequestFailed(f"{what} has more than {MAX_TOOL_PAGES} pages", "endless list")
