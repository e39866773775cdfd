"""An in-memory transport whose server side is the test, for tests without a process, on virtual time if needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCResponse


class Line:
    """Both directions of a connection. The test sends to `to_client`."""

    def __init__(self) -> None:
        self.to_client, self._read = anyio.create_memory_object_stream[Any](10_000)
        self._write, self._from_client = anyio.create_memory_object_stream[Any](10_000)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the client's streams."""
        async with self._read, self._write, self.to_client, self._from_client:
            yield self._read, self._write

    def say(self, message: JSONRPCMessage | Exception) -> None:
        """Send a message, or a transport error, to the client."""
        self.to_client.send_nowait(message if isinstance(message, Exception) else SessionMessage(message))

    def answer(self, number: int | str, result: dict[str, Any] | None) -> None:
        """Answer a request with a result, or with `Method not found` if it is None."""
        if result is None:
            error = ErrorData(code=-32601, message="Method not found")
            self.say(JSONRPCError(jsonrpc="2.0", id=number, error=error))
        else:
            self.say(JSONRPCResponse(jsonrpc="2.0", id=number, result=result))

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification to the client."""
        self.say(JSONRPCNotification(jsonrpc="2.0", method=method, params=params))

    async def receive(self) -> Any:
        """Return the next message from the client."""
        return (await self._from_client.receive()).message
