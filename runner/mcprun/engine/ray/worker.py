"""A workplace in a process of its own, as whoever spreads the queries of a run has it: calls come in, parcels go out.

Knows nothing of how it is called. Each method is called from the same event loop.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from mcprun._util.gc_tuning import gc_tuned_for_run
from mcprun._util.run_stop import RunStop
from mcprun.client.sdk_logging import sdk_logs
from mcprun.engine.ray.messages import EventBuffer, WorkerMessage
from mcprun.engine.worker import QueryRunner, workplace
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, RunError
from mcprun.models.access_policy import AccessLog
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.prompts.query import Query
from mcprun.runs.records import ServerRecord, Transcript


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A station that is ready, in the process `pid`; `about` is what answers there, nothing where the parcel ended."""

    pid: int
    about: ServerRecord | None
    parcel: WorkerMessage


class RemoteWorker:
    """Runs queries with a `setup`, in a `folder` that must be there as it is where the run was begun."""

    def __init__(self, setup: WorkerConfig, folder: str) -> None:
        self._setup = setup
        self._folder = folder
        self._outbox = EventBuffer(setup.redactor)
        self._ending = RunStop()
        self._access = AccessLog()
        self._running: set[asyncio.Task[Transcript]] = set()

    async def open(self) -> WorkerReady:
        """Start the servers."""
        self._pauses: asyncio.Queue[float] = asyncio.Queue()
        self._throttle = AdaptiveLimiter(self._setup.limits.concurrency, self._pauses.put_nowait)
        self._closing = asyncio.Event()
        self._ending.is_busy = True  # it ends with its queries, which the run waits for
        ready: asyncio.Future[QueryRunner] = asyncio.get_running_loop().create_future()
        # The task that opens a workplace closes it: each call is a task of its own.
        self._life = asyncio.create_task(self._live(ready))
        about, ended = None, None
        try:
            self._place = await ready
            about = self._place.about
        except RunError as error:
            ended = error
        return WorkerReady(os.getpid(), about, self._outbox.pack(error=ended))

    async def take(self) -> None:
        """Acknowledge that this process is alive and may be sent a query."""

    async def run(self, query: Query, repeat: int) -> WorkerMessage:
        """Run a query; the parcel holds its transcript."""
        task = asyncio.ensure_future(self._place.run(query, repeat))
        self._running.add(task)
        try:
            transcript = await task
        finally:
            self._running.discard(task)
        return self._outbox.pack(transcript, self._ending.reason, self._access.take())

    async def throttled(self) -> float:
        """Wait until the API throttles, and give the seconds that everybody is to be quiet then."""
        return await self._pauses.get()

    async def hold(self, seconds: float) -> None:
        """Be quiet, since the API has throttled another station."""
        self._throttle.obey(seconds)

    async def end(self, kind: ErrorKind, message: str, stderr: str) -> None:
        """Cancel what is in flight, since the run ends: each query gives what it has."""
        self._ending.stop(RunError(kind, message, stderr=stderr))
        for task in self._running:
            task.cancel()

    async def close(self) -> WorkerMessage:
        """End the servers."""
        self._closing.set()
        await asyncio.wait({self._life})
        return self._outbox.pack()

    async def _live(self, ready: asyncio.Future[QueryRunner]) -> None:
        """Be open until it is to be closed."""
        setup, emit = self._setup, self._outbox.emit
        try:
            with sdk_logs(emit, setup.redactor):
                try:
                    os.chdir(self._folder)
                except OSError as error:
                    message = f"the folder of the run, {self._folder}, is not on each node: {error.strerror}"
                    raise RunError(ErrorKind.SERVER_START, message) from None
                place = workplace(
                    setup, self._outbox.log, emit, self._ending, throttle=self._throttle, access=self._access
                )
                with gc_tuned_for_run():
                    async with place as here:
                        ready.set_result(here)
                        await self._closing.wait()
        except Exception as error:  # noqa: BLE001  whoever opens it is told
            if not ready.done():
                ready.set_exception(error)
