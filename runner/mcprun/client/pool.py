"""Which server a query talks to: one that all share, one of several, or a new one each. Dead ones are replaced."""

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
"""The wait before a restart, when the one before brought nobody through a query: doubled each time."""

_LATE_SECONDS = 1.0
"""What is waited for late answers to calls that were given up: some servers answer as soon as they are told."""


class ServerPool:
    """Live servers, lent to queries. `size` of them are shared; with `fresh`, each query gets a new one instead.

    `restarts` is how often, in the whole run, a shared server that died is started again. One that died may not have
    ended yet: when the pool is closed, it has.
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
        """Start the servers: one, to learn whether it starts and how to speak to it, then the others at once.

        Raises `RunError` when one does not start.
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
        """Whether the servers ask only for a call that they name: since MCP 2026-07-28 there is no other way."""
        return self.first.protocol in MODERN_PROTOCOL_VERSIONS

    @asynccontextmanager
    async def lease(self, *, alone: bool = False, where: AttemptRef | None = None) -> AsyncIterator[ServerSession]:
        """Lend a server for the length of a query: the one with the fewest queries, `alone` or with others.

        A dead one is replaced first; so is one that may ask the query at `where` on behalf of another query's call.
        Raises `RunError` when the restarts are used up; `QueryError` when a fresh server does not start: the first one
        did, so it is this query's error, as long as there are restarts.
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
            place.failures = 0 if not server.dead else place.failures
        finally:
            await self._give_back(place)

    async def _take(self, *, alone: bool) -> _Place:
        """Wait for a place; one who needs it alone is served before those who do not."""
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
        """Return the place's server. Start a new one if it is dead, with back-off, as long as there are restarts."""
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
        """Return whether a server may ask for a call that was given up, and the query at `where` would be asked.

        That query has answers of its own (`alone`), or servers have been seen to ask. With others there as well, no
        request is attributed to it.
        """
        if place.server is None or place.server.dead or where is None:
            return False
        askers = place.server.desk.askers
        self._servers_ask |= askers.has_asked
        is_asked = (alone or self._servers_ask) and place.users == 1 and not self.tells_whose
        return is_asked and await askers.is_left(where, _LATE_SECONDS)

    async def _replace(self, place: _Place) -> None:
        """Start a new server in place of one that works on a call that was given up; the first try is no restart."""
        server, place.server = place.server, None
        assert server  # noqa: S101  its caller has checked
        server.desk.warn_once(
            "a call was given up, and the server may still ask for something on its behalf: a query that it could be"
            " taken for gets a new server"
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
        times = "once" if self._restarts == 1 else f"{self._restarts} times"
        return f"the server died again after it was restarted {times}, which is all that --restarts allows"

    @asynccontextmanager
    async def _fresh_server(self) -> AsyncIterator[ServerSession]:
        spare, self._places[0].server = self._places[0].server, None
        server = spare  # the one that was started to see whether it starts is as fresh as any
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
        # Each has its bounds, and one whose closing is cancelled before it has begun would stay.
        if cancelled := await wait_uninterrupted([asyncio.create_task(server.close()) for server in self._started]):
            raise cancelled


class _Place:
    """Where a shared server stands: who uses it, who waits to have it alone, how often in a row it failed."""

    def __init__(self) -> None:
        self.server: ServerSession | None = None
        self.users = 0
        self.wanted = 0
        self.alone = False
        self.failures = 0
        self.lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether one more may share it."""
        return self.wanted == 0
