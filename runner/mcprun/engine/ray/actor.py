"""Start, replace and shut down one Ray actor of a run.

An actor that died is replaced here and not by Ray itself, since one that can't be reached may still be alive. It is
killed first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from mcprun.engine.ray.messages import EventMerger, WorkerMessage
from mcprun.engine.ray.worker import RemoteWorker, WorkerReady
from mcprun.engine.worker_config import WorkerConfig
from mcprun.runs.events import ActorStart, Emit
from mcprun.runs.run_record import ServerRecord

CLOSE_SECONDS = 20.0
"""Seconds that an actor may take to shut down its servers, or to return its unfinished queries when the run ends."""

_EXTRA_CALLS = 16
"""Concurrent calls that an actor accepts in addition to its queries."""


class ActorSlot:
    """Holds one actor, and its replacement if it dies.

    `in_flight` is the number of queries on it. `server` is the server it uses, or `None` until it is ready.
    `throttled` is called with the seconds of the pause when the API throttles the actor.
    """

    def __init__(
        self,
        number: int,
        config: WorkerConfig,
        merger: EventMerger,
        emit: Emit,
        throttled: Callable[[ActorSlot, float], None],
    ) -> None:
        self.number = number
        self.merger = merger
        self.actor: Any = None
        self.server: ServerRecord | None = None
        self.in_flight = 0
        self._config = config
        self._emit = emit
        self._throttled = throttled
        self._location = ""
        self._lock = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        return f"actor {self.number}{self._location}"

    async def ready(self) -> None:
        """Start an actor if there is none, once Ray has a free CPU for it.

        Raises `RunError` if its servers can't be started, `RayError` if the actor died.
        """
        async with self._lock:
            if self.actor and self.server:
                return
            self._location = ""
            max_calls = self._config.limits.concurrency + _EXTRA_CALLS
            actor_class = _Actor.options(max_concurrency=max_calls, max_restarts=0, scheduling_strategy="SPREAD")
            self.actor = actor_class.remote(self._config, str(Path.cwd()))
            opened: WorkerReady = await self.actor.open.remote()
            node = await self.actor.node.remote()
            self._location = f" (process {opened.pid} on {node})"
            self._emit(ActorStart(actor=self.number, pid=opened.pid, node=node))
            self.merger.take(opened.message.events)
            if error := opened.message.error:
                raise error
            self.server = opened.server
            self._listening = asyncio.create_task(self._watch_throttling(self.actor))

    def dismiss(self) -> None:
        """Kill the actor, if there is one. It may be alive although it can't be reached, and must not continue."""
        actor, self.actor, self.server = self.actor, None, None
        self.merger.renew()
        if self._listening:
            self._listening.cancel()
        if actor:
            ray.kill(actor)

    async def close(self) -> None:
        """Shut down the servers and the actor. The actor is killed even if it does not answer or this is cancelled."""
        try:
            if self.actor and self.server:
                with suppress(RayError, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        message: WorkerMessage = await self.actor.close.remote()
                    self.merger.take(message.events)
        finally:
            self.dismiss()

    async def _watch_throttling(self, actor: Any) -> None:
        """Call `throttled` each time that the API throttles the actor, until it dies."""
        with suppress(RayError):
            while True:
                self._throttled(self, await actor.throttled.remote())


class _NodeWorker(RemoteWorker):
    """A `RemoteWorker` that runs as a Ray actor."""

    async def node(self) -> str:
        """Return the IP address of its node."""
        return str(ray.util.get_node_ip_address())


_Actor: Any = ray.remote(_NodeWorker)
