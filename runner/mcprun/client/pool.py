"""Lease servers to queries: one or several shared servers, or a new one for each query. Replace dead servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from mcprun._util.tasks import gather_or_cancel, wait_uninterrupted
from mcprun.client.connector import Connector
from mcprun.client.session import ServerSession
from mcprun.errors import ErrorKind, QueryError, RunError
from mcprun.runs.events import AttemptRef, Emit, ServerRestart

_FIRST_SECONDS, _MOST_SECONDS = 0.25, 10.0
"""Back-off before a restart if no query has succeeded since the previous one, doubled each time."""

_LATE_SECONDS = 1.0
"""Time to wait for late answers to cancelled calls. Some servers answer as soon as they receive the cancellation."""


class ServerPool:
    """Live servers, leased to queries.

    The process of a server that died may still be running; it has ended when the pool is closed.

    Args:
        connector: Starts the servers.
        size: The number of shared servers.
        fresh: Start a new server for each query instead of sharing.
        restarts: Maximum restarts of shared servers that died, in the whole run. With `fresh`, maximum failed starts.
        emit: Receives the events.
    """

    def __init__(self, connector: Connector, *, size: int = 1, fresh: bool = False, restarts: int, emit: Emit) -> None:
        self._connector = connector
        self._emit = emit
        self._fresh = fresh
        self._restarts = self._left = restarts
        self._places = [_Place() for _ in range(1 if fresh else size)]
        self._started: list[ServerSession] = []
        self._changed = asyncio.Condition()
        self._servers_ask = False

    async def __aenter__(self) -> Self:
        """Start the servers: first one, to check that it starts and to negotiate, then the others concurrently.

        Raises `RunError` if a server does not start.
        """
        first, *others = self._places
        await self._fill(first)
        (self.first,) = self._started
        try:
            await gather_or_cancel(self._fill(place) for place in others)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    @property
    def tells_whose(self) -> bool:
        """Whether every server request names the call that it belongs to, as it must since MCP 2026-07-28."""
        return self.first.protocol in MODERN_PROTOCOL_VERSIONS

    @asynccontextmanager
    async def lease(self, *, alone: bool = False, where: AttemptRef | None = None) -> AsyncIterator[ServerSession]:
        """Lease the server with the fewest queries to a query, exclusively if `alone`.

        A dead server is replaced first. So is one whose requests for another attempt's cancelled call could be
        attributed to the attempt at `where`. Raises `RunError` if the restarts are used up, and `QueryError` if a fresh
        server does not start: since the first one did, the error is the query's as long as restarts are left.
        """
        if self._fresh:
            async with self._fresh_server() as server:
                yield server
            return
        place = await self._take(alone=alone)
        try:
            server = await self._alive(place, alone=alone, where=where)
            server.desk.askers.is_alone = alone
            await server.refresh()
            yield server
            # Not after an error: a query that ended with one does not show that the restarted server works.
            place.failures = place.failures if server.dead else 0
        finally:
            await self._give_back(place)

    async def _take(self, *, alone: bool) -> _Place:
        """Wait for a place. A query that needs it `alone` takes precedence over those that share."""
        async with self._changed:
            if not alone:
                await self._changed.wait_for(lambda: any(place.is_open for place in self._places))
                place = min((place for place in self._places if place.is_open), key=lambda place: place.users)
            else:
                place = min(self._places, key=lambda place: (place.wanted, place.users))
                place.wanted += 1
                try:
                    await self._changed.wait_for(lambda: place.users == 0)
                except BaseException:
                    place.wanted -= 1
                    self._changed.notify_all()
                    raise
                place.alone = True
            place.users += 1
            return place

    async def _give_back(self, place: _Place) -> None:
        place.users -= 1
        if place.alone:
            place.alone = False
            place.wanted -= 1
        async with self._changed:
            self._changed.notify_all()

    async def _alive(self, place: _Place, *, alone: bool, where: AttemptRef | None) -> ServerSession:
        """Return the place's server. If it is dead, start a new one, with back-off, while restarts are left."""
        async with place.lock:
            if await self._may_confuse(place, alone=alone, where=where):
                await self._replace(place)
            died = place.server if place.server and place.server.dead else None
            while place.server is None or place.server.dead:
                if self._left <= 0:
                    raise RunError(ErrorKind.SERVER_DIED, self._spent(), stderr=died.last_words() if died else "")
                self._left -= 1
                wait = min(_MOST_SECONDS, _FIRST_SECONDS * 2 ** (place.failures - 1)) if place.failures else 0.0
                self._emit(ServerRestart(wait=wait, left=self._left))
                await asyncio.sleep(wait)
                place.failures += 1
                try:
                    await self._fill(place)
                except RunError:
                    if self._left <= 0:
                        raise
            return place.server

    async def _may_confuse(self, place: _Place, *, alone: bool, where: AttemptRef | None) -> bool:
        """Return whether a request for another attempt's cancelled call could be attributed to the one at `where`.

        That matters only if the query has answers of its own (`alone`), or if servers have made such requests before.
        While other queries use the server, no such request is attributed to any of them.
        """
        if place.server is None or place.server.dead or where is None:
            return False
        askers = place.server.desk.askers
        self._servers_ask |= askers.has_asked
        is_asked = (alone or self._servers_ask) and place.users == 1 and not self.tells_whose
        return is_asked and await askers.is_left(where, _LATE_SECONDS)

    async def _replace(self, place: _Place) -> None:
        """Replace a server that may be working on a cancelled call. The first try does not count as a restart."""
        server, place.server = place.server, None
        assert server  # noqa: S101  checked by the caller
        server.desk.warn_once(
            "a call was cancelled, but the server may still send requests on its behalf; a query to which they could be"
            " attributed gets a new server"
        )
        await server.close()
        with suppress(RunError):  # `_alive` tries again, with back-off
            await self._fill(place)

    async def _fill(self, place: _Place) -> None:
        place.server = await self._connector.connect()
        self._started.append(place.server)

    def _spent(self) -> str:
        if not self._restarts:
            return "the server died, and --restarts allows no restart"
        times = "1 restart" if self._restarts == 1 else f"{self._restarts} restarts"
        return f"the server died again after {times}, the limit set by --restarts"

    @asynccontextmanager
    async def _fresh_server(self) -> AsyncIterator[ServerSession]:
        spare, self._places[0].server = self._places[0].server, None
        server = spare  # started by `__aenter__`, and not used yet
        if server is None or server.dead:
            try:
                server = await self._connector.connect()
            except RunError as error:
                self._left -= 1
                if self._left < 0:
                    raise
                detail = f"{error}; its stderr ends: {error.stderr}" if error.stderr else str(error)
                raise QueryError(error.kind, detail) from None
        server.desk.askers.is_alone = True
        try:
            yield server
        finally:
            await server.close()

    async def _close(self) -> None:
        # Each close has its own time limit. A server whose close is cancelled before it begins would survive.
        if cancelled := await wait_uninterrupted([asyncio.create_task(server.close()) for server in self._started]):
            raise cancelled


class _Place:
    """The place of a shared server in the pool.

    `users` counts the queries that use it, `wanted` those that use it alone or wait to, and `failures` its restarts
    since a query last got through.
    """

    def __init__(self) -> None:
        self.server: ServerSession | None = None
        self.users = 0
        self.wanted = 0
        self.alone = False
        self.failures = 0
        self.lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether another query may share the server."""
        return self.wanted == 0
