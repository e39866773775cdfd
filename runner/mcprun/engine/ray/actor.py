"""One place of a run on Ray: an actor, and the next one when that died.

The next one is started here, and not by Ray itself: an actor that can't be reached may be alive, and is ended first.
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
from mcprun.runs.records import ServerRecord

CLOSE_SECONDS = 20.0
"""How long an actor may take to end its servers, or to give what it has of its queries when the run ends."""

_SPARE = 16
"""Calls that an actor takes besides its queries."""


class ActorSlot:
    """One actor, and who takes its place when it died.

    `held` counts the queries that it has; `about` is what answers there. `throttled` is called when the API throttles
    it, with the seconds of the pause.
    """

    def __init__(
        self,
        number: int,
        setup: WorkerConfig,
        inbox: EventMerger,
        emit: Emit,
        throttled: Callable[[ActorSlot, float], None],
    ) -> None:
        self.number = number
        self.inbox = inbox
        self.actor: Any = None
        self.about: ServerRecord | None = None
        self.held = 0
        self._setup = setup
        self._emit = emit
        self._throttled = throttled
        self._where = ""
        self._lock = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        return f"actor {self.number}{self._where}"

    async def ready(self) -> None:
        """Start an actor when there is none; it waits for a free CPU. Raises `RunError`, or `RayError` if it died."""
        async with self._lock:
            if self.actor and self.about:
                return
            self._where = ""
            most = self._setup.limits.concurrency + _SPARE
            remote = _Actor.options(max_concurrency=most, max_restarts=0, scheduling_strategy="SPREAD")
            self.actor = remote.remote(self._setup, str(Path.cwd()))
            opened: WorkerReady = await self.actor.open.remote()
            node = await self.actor.node.remote()
            self._where = f" (process {opened.pid} on {node})"
            self._emit(ActorStart(actor=self.number, pid=opened.pid, node=node))
            self.inbox.take(opened.parcel.told)
            if error := opened.parcel.error:
                raise error
            self.about = opened.about
            self._listening = asyncio.create_task(self._listen(self.actor))

    def dismiss(self) -> None:
        """Be without an actor; it may be alive where only the way to it is gone, and must not go on."""
        actor, self.actor, self.about = self.actor, None, None
        self.inbox.renew()
        if self._listening:
            self._listening.cancel()
        if actor:
            ray.kill(actor)

    async def close(self) -> None:
        """End the servers and the actor. The actor is killed if it does not answer, or if this is cancelled."""
        try:
            if self.actor and self.about:
                with suppress(RayError, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        parcel: WorkerMessage = await self.actor.close.remote()
                    self.inbox.take(parcel.told)
        finally:
            self.dismiss()

    async def _listen(self, actor: Any) -> None:
        """Hear of it when the API throttles the actor."""
        with suppress(RayError):
            while True:
                self._throttled(self, await actor.throttled.remote())


class _Station(RemoteWorker):
    """A station as Ray has it."""

    async def node(self) -> str:
        """Give the IP address of the node that it is on."""
        return str(ray.util.get_node_ip_address())


_Actor: Any = ray.remote(_Station)
