"""List a server's prompts, resources and their templates once in a run, for coverage to know the unused ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mcprun._util.json_value import JsonObject
from mcprun.client.catalog import list_prompts, list_resources, list_templates
from mcprun.client.request_errors import RequestFailed
from mcprun.client.session import ServerSession
from mcprun.errors import QueryError
from mcprun.runs.events import CatalogListed, Emit

_SECONDS = 10.0
"""Maximum seconds that each list may take: it is not what the query is about."""


class CatalogListing:
    """Lists the prompts, resources and templates of the first server that it is given. Emits `CatalogListed`."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._has_begun = False

    async def list_once(self, server: ServerSession) -> None:
        """List what a server has, unless that was done before. A list that fails is left out."""
        if self._has_begun or server.dead:
            return
        self._has_begun = True
        lists = {
            "prompts": await _names(server, "prompts", "name", list_prompts),
            "resources": await _names(server, "resources", "uri", list_resources),
            "resource_templates": await _names(server, "resources", "uriTemplate", list_templates),
        }
        if any(names is not None for names in lists.values()):
            self._emit(CatalogListed.of(server.number, lists))


_Read = Callable[[ServerSession, float], Awaitable[list[JsonObject]]]


async def _names(server: ServerSession, capability: str, key: str, read: _Read) -> list[str] | None:
    """Return the identifiers of a list; None if the server does not support it, or it can't be read."""
    if not server.has(capability):
        return None
    try:
        async with asyncio.timeout(_SECONDS):
            return [item[key] for item in await read(server, _SECONDS)]
    except (RequestFailed, QueryError, TimeoutError):
        return None
