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

_FIRST_SECONDS, _MAX_SECONDS = 0.25, 10.0
"""Back-off before a restart if no query has succeeded since the previous one, doubled each time."""

_LATE_ANSWER_SECONDS = 1.0
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
        self._slots = [_Slot() for _ in range(1 if fresh else size)]
        self._started: list[ServerSession] = []
        self._changed = asyncio.Condition()
        self._has_unattributed = False

    async def __aenter__(self) -> Self:
        """Start the servers: first one, to check that it starts and to negotiate, then the others concurrently.

        Raises `RunError` if a server does not start.
        """
        first, *others = self._slots
        await self._fill(first)
        (self.first,) = self._started
        try:
            await gather_or_cancel(self._fill(slot) for slot in others)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    @property
    def attributes_requests(self) -> bool:
        """Whether every server request names the call that it belongs to, as it must since MCP 2026-07-28."""
        return self.first.protocol in MODERN_PROTOCOL_VERSIONS

    @asynccontextmanager
    async def lease(self, *, exclusive: bool = False, where: AttemptRef | None = None) -> AsyncIterator[ServerSession]:
        """Lease the server with the fewest queries to a query, exclusively if `exclusive`.

        A dead server is replaced first. So is one whose requests for another attempt's cancelled call could be
        attributed to the attempt at `where`. Raises `RunError` if the restarts are used up, and `QueryError` if a fresh
        server does not start: since the first one did, the error is the query's as long as restarts are left.
        """
        if self._fresh:
            async with self._fresh_server() as server:
                yield server
            return
        slot = await self._acquire(exclusive=exclusive)
        try:
            server = await self._live_server(slot, exclusive=exclusive, where=where)
            server.callbacks.active_queries.is_exclusive = exclusive
            await server.refresh()
            yield server
            # Not after an error: a query that ended with one does not show that the restarted server works.
            slot.failures = slot.failures if server.dead else 0
        finally:
            await self._release(slot)

    async def _acquire(self, *, exclusive: bool) -> _Slot:
        """Wait for a slot. A query that needs one `exclusive` takes precedence over those that share."""
        slot = await self._wait_for_exclusive_slot() if exclusive else await self._wait_for_open_slot()
        slot.users += 1
        return slot

    async def _wait_for_open_slot(self) -> _Slot:
        """Wait for a slot that others may share, and return the one with the fewest users."""
        if not any(slot.is_open for slot in self._slots):
            async with self._changed:
                await self._changed.wait_for(lambda: any(slot.is_open for slot in self._slots))
        return min((slot for slot in self._slots if slot.is_open), key=lambda slot: slot.users)

    async def _wait_for_exclusive_slot(self) -> _Slot:
        """Wait for the other users of a slot to release it."""
        async with self._changed:
            slot = min(self._slots, key=lambda slot: (slot.waiting, slot.users))
            slot.waiting += 1
            try:
                await self._changed.wait_for(lambda: slot.users == 0)
            except BaseException:
                slot.waiting -= 1
                self._changed.notify_all()
                raise
            slot.is_exclusive = True
        return slot

    async def _release(self, slot: _Slot) -> None:
        slot.users -= 1
        if not slot.waiting:
            return  # the slot is open, so no query waits for it
        if slot.is_exclusive:
            slot.is_exclusive = False
            slot.waiting -= 1
        async with self._changed:
            self._changed.notify_all()

    async def _live_server(self, slot: _Slot, *, exclusive: bool, where: AttemptRef | None) -> ServerSession:
        """Return the server of a slot. If it is dead, start a new one, with back-off, while restarts are left."""
        async with slot.lock:
            if await self._may_misattribute(slot, exclusive=exclusive, where=where):
                await self._replace(slot)
            died = slot.server if slot.server and slot.server.dead else None
            while slot.server is None or slot.server.dead:
                if self._left <= 0:
                    raise RunError(
                        ErrorKind.SERVER_DIED, self._restarts_used_up(), stderr=died.stderr_tail() if died else ""
                    )
                self._left -= 1
                wait = min(_MAX_SECONDS, _FIRST_SECONDS * 2 ** (slot.failures - 1)) if slot.failures else 0.0
                self._emit(ServerRestart(wait=wait, left=self._left, is_remote=self._connector.is_remote))
                await asyncio.sleep(wait)
                slot.failures += 1
                try:
                    await self._fill(slot)
                except RunError:
                    if self._left <= 0:
                        raise
            return slot.server

    async def _may_misattribute(self, slot: _Slot, *, exclusive: bool, where: AttemptRef | None) -> bool:
        """Return whether a request for another attempt's cancelled call could be attributed to the one at `where`.

        This matters only if the query has answers of its own (`exclusive`), or if servers have made such requests
        before. While other queries use the server, no such request is attributed to any of them.
        """
        if slot.server is None or slot.server.dead or where is None:
            return False
        active_queries = slot.server.callbacks.active_queries
        self._has_unattributed |= active_queries.has_unattributed
        is_at_risk = (exclusive or self._has_unattributed) and slot.users == 1 and not self.attributes_requests
        return is_at_risk and await active_queries.wait_for_abandoned(where, _LATE_ANSWER_SECONDS)

    async def _replace(self, slot: _Slot) -> None:
        """Replace a server that may be working on a cancelled call. The first try does not count as a restart."""
        server, slot.server = slot.server, None
        assert server  # noqa: S101  checked by the caller
        server.callbacks.warn_once(
            "a call was cancelled, but the server may still send requests on its behalf; a query to which they could be"
            " attributed gets a new server"
        )
        await server.close()
        with suppress(RunError):  # `_live_server` tries again, with back-off
            await self._fill(slot)

    async def _fill(self, slot: _Slot) -> None:
        slot.server = await self._connector.connect()
        self._started.append(slot.server)

    def _restarts_used_up(self) -> str:
        if self._connector.is_remote:
            return f"the connection to the server was lost, and --restarts {self._restarts} allows no other connection"
        if not self._restarts:
            return "the server died, and --restarts allows no restart"
        times = "1 restart" if self._restarts == 1 else f"{self._restarts} restarts"
        return f"the server died again after {times}, the limit set by --restarts"

    @asynccontextmanager
    async def _fresh_server(self) -> AsyncIterator[ServerSession]:
        spare, self._slots[0].server = self._slots[0].server, None
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
        server.callbacks.active_queries.is_exclusive = True
        try:
            yield server
        finally:
            await server.close()

    async def _close(self) -> None:
        # Each close has its own time limit. A server whose close is cancelled before it begins would survive.
        if cancelled := await wait_uninterrupted([asyncio.create_task(server.close()) for server in self._started]):
            raise cancelled


class _Slot:
    """A slot of the pool, which holds one shared server.

    `users` counts the queries that use it, `waiting` those that have or wait for exclusive use, and `failures` its
    restarts since a query last succeeded.
    """

    def __init__(self) -> None:
        self.server: ServerSession | None = None
        self.users = 0
        self.waiting = 0
        self.is_exclusive = False
        self.failures = 0
        self.lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether another query may share the server."""
        return self.waiting == 0
