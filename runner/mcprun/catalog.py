"""What a server offers besides tools: its prompts, resources and templates of resources, all pages of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mcp_types

from mcprun.limits import MAX_TOOL_PAGES
from mcprun.records import JsonObject
from mcprun.server import NoResult, Server

_NAMED = 10
"""So many names are told of a list."""

_NAME = 80
"""Characters of a name that are told."""


async def list_prompts(server: Server, seconds: float) -> list[JsonObject]:
    """List the prompts, as the wire has them; each page may take so many seconds.

    Gives none where the server has none. Raises `NoResult` for what can't be read, `QueryError` (`server_died`) when
    nobody is there to answer.
    """
    return await _pages(server, mcp_types.ListPromptsRequest, "prompts", "prompts", seconds)


async def list_resources(server: Server, seconds: float) -> list[JsonObject]:
    """List the resources, as `list_prompts` does."""
    return await _pages(server, mcp_types.ListResourcesRequest, "resources", "resources", seconds)


async def list_templates(server: Server, seconds: float) -> list[JsonObject]:
    """List the templates of resources, as `list_prompts` does."""
    return await _pages(server, mcp_types.ListResourceTemplatesRequest, "resources", "resourceTemplates", seconds)


def names(items: Iterable[JsonObject], key: str) -> str:
    """Name the items of a list on one line, as many as a message holds: `a, b and 3 more`; of an empty one, `none`."""
    told = [" ".join(str(item.get(key)).split())[:_NAME] for item in items]
    more = f" and {len(told) - _NAMED:,} more" if len(told) > _NAMED else ""
    return ", ".join(told[:_NAMED]) + more if told else "none"


async def _pages(server: Server, request: Any, capability: str, key: str, seconds: float) -> list[JsonObject]:
    if not server.has(capability):
        return []
    what = f"the list of {'resource templates' if key == 'resourceTemplates' else key}"
    found: list[JsonObject] = []
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_TOOL_PAGES):
        asked = request(params=mcp_types.PaginatedRequestParams(cursor=cursor))
        try:
            page = await server.request(asked, what, seconds)
        except NoResult as error:
            if error.code == mcp_types.METHOD_NOT_FOUND:  # many servers have resources, and no templates of them
                return found
            raise
        found += page.get(key) or []
        cursor = page.get("nextCursor")
        if not cursor or cursor in seen:
            return found
        seen.add(cursor)
    raise NoResult(f"{what} does not end: {MAX_TOOL_PAGES} pages were read", "endless list")
