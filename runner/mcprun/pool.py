"""Which server a query talks to: one that all share, one of several, or a new one each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from mcprun.connect import Connector
from mcprun.errors import QueryError, RunError
from mcprun.server import Server


class Pool:
    """Live servers, lent to queries. `size` of them are shared; with `fresh`, each query gets a new one instead."""

    def __init__(self, connector: Connector, *, size: int = 1, fresh: bool = False) -> None:
        self._connector = connector
        self._size = size
        self._fresh = fresh
        self._servers: list[Server] = []
        self._spare: AsyncExitStack | None = None
        self._lent: Counter[int] = Counter()
        self._stack = AsyncExitStack()

    @property
    def first(self) -> Server:
        """The server that was connected first; it speaks for all of them about name and tools."""
        return self._servers[0]

    async def __aenter__(self) -> Self:
        """Start the servers: one, to learn whether it starts and how to speak to it, then the others at once.

        Raises `RunError` when one does not start.
        """
        async with AsyncExitStack() as stack:
            self._spare = await stack.enter_async_context(AsyncExitStack())
            self._servers = [await self._spare.enter_async_context(self._connector.connect())]
            others = range(0 if self._fresh else self._size - 1)
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(stack.enter_async_context(self._connector.connect())) for _ in others]
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            self._servers += [task.result() for task in tasks]
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Server]:
        """Lend a server for the length of a query: the one with the fewest queries, or a fresh one.

        Raises `QueryError` when a fresh one does not start: the first did, so it is this query's error.
        """
        if self._fresh:
            async with self._fresh_server() as server:
                yield server
            return
        server = min(self._servers, key=lambda server: self._lent[server.number])
        self._lent[server.number] += 1
        try:
            yield server
        finally:
            self._lent[server.number] -= 1

    @asynccontextmanager
    async def _fresh_server(self) -> AsyncIterator[Server]:
        spare, self._spare = self._spare, None
        if spare:  # the one that was started to see whether it starts is as fresh as any
            async with spare:
                yield self.first
            return
        async with AsyncExitStack() as stack:
            try:
                server = await stack.enter_async_context(self._connector.connect())
            except RunError as error:
                detail = f"{error}; its stderr ends: {error.stderr}" if error.stderr else str(error)
                raise QueryError(error.kind, detail) from None
            yield server
