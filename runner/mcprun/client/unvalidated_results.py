"""Pass results through the SDK as the server sent them. Its validation would reject a whole result for one wrong key.

The SDK receives an empty valid result that carries the server's own in its `_meta`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, methods
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcprun._util.json_value import JsonObject
from mcprun._util.long_integers import carrier
from mcprun._util.object_validation import problem
from mcprun.client.list_items import LISTS, TOOLS, Page, read_page

_KEY = "mcprun/result"

_EMPTY: dict[str, str] = {"tools/call": "content", "prompts/get": "messages", "resources/read": "contents"} | {
    method: listed.key for method, listed in LISTS.items()
}
"""Methods whose results mcprun reads itself, each with the list key that is required in its result."""

_COMPLETE = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""Fields that MCP 2026-07-28 requires in these results. Older versions ignore them."""


class _Carried(dict[str, Any]):
    """An empty JSON object for `_meta`, which carries the server's result as an attribute."""

    def __init__(self, result: JsonObject, page: Page | None = None) -> None:
        super().__init__()
        self.result = result
        self.page = page


def as_sent(result: JsonObject) -> JsonObject:
    """Return the server's own result that a result validated by the SDK carries, or the latter if it carries none."""
    carried = _find_carried(result.get("_meta"))
    return result if carried is None else carried.result


def tools_page(meta: Any) -> Page | None:
    """Return the `Page` that the `_meta` of a validated page of tools carries; None if it carries none."""
    carried = _find_carried(meta)
    return None if carried is None else carried.page


def _find_carried(meta: Any) -> _Carried | None:
    found = meta.get(_KEY) if isinstance(meta, dict) else None
    return found if isinstance(found, _Carried) else None


class RawResults:
    """Wraps a transport of the SDK's client, and matches each response with the method of its request."""

    def __init__(self) -> None:
        self._methods: dict[Any, str] = {}
        self._version = MODERN_PROTOCOL_VERSIONS[-1]

    @asynccontextmanager
    async def between(self, transport: Any) -> AsyncIterator[tuple[Any, Any]]:
        """Wrap a transport, and yield its read and write streams."""
        async with transport as (read, write):
            yield _Reading(read, self.read), _Writing(write, self.wrote)

    def wrote(self, message: SessionMessage) -> None:
        """Record the method of an outgoing request, and forget that of a cancelled one."""
        match message.message:
            case JSONRPCRequest(id=number, method=method) if method in _EMPTY or method == "initialize":
                self._methods[number] = method
            case JSONRPCNotification(method="notifications/cancelled", params=dict(params)):
                self._methods.pop(params.get("requestId"), None)

    def read(self, message: Any) -> Any:
        """Return an incoming message. If mcprun reads its result itself, replace that with an empty one carrying it."""
        answer = message.message if isinstance(message, SessionMessage) else None
        if isinstance(answer, JSONRPCError):
            self._methods.pop(answer.id, None)
        if isinstance(answer, JSONRPCRequest):
            answer.params = carrier.take(answer.params)
        if not isinstance(answer, JSONRPCResponse):
            return message
        method = self._methods.pop(answer.id, "")
        answer.result = carrier.take(answer.result)
        if method == "initialize":
            version = answer.result.get("protocolVersion")
            self._version = version if version in KNOWN_PROTOCOL_VERSIONS else self._version
        if method in _EMPTY:
            answer.result = self._replacement(method, answer.result)
        return message

    def _replacement(self, method: str, result: JsonObject) -> JsonObject:
        empty: JsonObject = {**_COMPLETE, _EMPTY[method]: [], "_meta": {_KEY: _Carried(result)}}
        if method != TOOLS.method:
            return empty
        try:
            page = read_page(TOOLS, result, self._refusal)
        except ValueError:
            return result  # the SDK reports the problem
        empty |= {"tools": page.items, "_meta": {_KEY: _Carried(result, page)}}
        return empty | ({"nextCursor": page.cursor} if page.cursor else {})

    def _refusal(self, tool: JsonObject) -> str:
        """Return why the SDK rejects a tool in the session's protocol version; empty if it accepts it."""
        try:
            methods.parse_server_result(TOOLS.method, self._version, {**_COMPLETE, "tools": [tool]})
        except ValidationError as error:
            location = error.errors(include_url=False)[0]["loc"]
            return problem(
                error, skip=location.index(0) + 1 if 0 in location else 0
            )  # relative to the tool, not to its list
        return ""


class _Reading:
    """A read stream that passes each message through a function."""

    def __init__(self, inner: Any, look: Any) -> None:
        self._inner = inner
        self._look = look

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> Any:
        return self._look(await self._inner.__anext__())

    async def receive(self) -> Any:
        """Wait for the next message."""
        return self._look(await self._inner.receive())

    async def __aenter__(self) -> _Reading:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)


class _Writing:
    """A write stream that calls a function with each message."""

    def __init__(self, inner: Any, look: Any) -> None:
        self._inner = inner
        self._look = look

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, message: SessionMessage) -> None:
        """Send a message."""
        self._look(message)
        await self._inner.send(message)

    async def __aenter__(self) -> _Writing:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inner.__aexit__(*error)
