"""Run queries in a worker process: methods to call remotely, and the messages they return.

This module does not depend on the RPC mechanism. All methods must be called from the same event loop.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass

from mcprun._util.gc_tuning import gc_tuned_for_run
from mcprun._util.run_stop import RunStop
from mcprun.client.sdk_logging import sdk_logs
from mcprun.engine.attempts import QueryExecutor
from mcprun.engine.ray.messages import EventBuffer, WorkerMessage
from mcprun.engine.run_context import RunContext
from mcprun.engine.worker import open_worker
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, RunError
from mcprun.models.access_policy import AccessLog
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.prompts.query import Query
from mcprun.runs.run_record import ServerRecord
from mcprun.runs.transcript import Transcript


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker after start-up: its process id, its server (`None` if it failed to start), and its first message."""

    pid: int
    server: ServerRecord | None
    message: WorkerMessage


class RemoteWorker:
    """Runs queries with a `config` in the directory `folder`, which must have the same content on each node."""

    def __init__(self, config: WorkerConfig, folder: str) -> None:
        self._config = config
        self._folder = folder
        self._buffer = EventBuffer(config.redactor)
        self._run_stop = RunStop()
        self._access = AccessLog()
        self._running: set[asyncio.Task[Transcript]] = set()

    async def open(self) -> WorkerReady:
        """Start the servers. A `RunError` is returned in the message."""
        self._throttle_pauses: asyncio.Queue[float] = asyncio.Queue()
        self._limiter = AdaptiveLimiter(self._config.limits.concurrency, self._throttle_pauses.put_nowait)
        self._closing = asyncio.Event()
        self._run_stop.has_started = True  # a worker ends with its queries, which the run waits for
        ready: asyncio.Future[QueryExecutor] = asyncio.get_running_loop().create_future()
        # The task that opens the executor must also close it, and each remote call runs in a task of its own.
        self._lifetime = asyncio.create_task(self._serve(ready))
        server, ended = None, None
        try:
            self._executor = await ready
            server = self._executor.server
        except RunError as error:
            ended = error
        return WorkerReady(os.getpid(), server, self._buffer.pack(error=ended))

    async def take(self) -> None:
        """Acknowledge that this process is alive and may be sent a query."""

    async def run(self, query: Query, repeat: int) -> WorkerMessage:
        """Run a query and return a message with its transcript."""
        task = asyncio.ensure_future(self._executor.run(query, repeat))
        self._running.add(task)
        try:
            transcript = await task
        except asyncio.CancelledError:
            if not self._run_stop.reason:
                raise
            transcript = self._config.skipped(query, repeat, self._run_stop.reason)  # cancelled before its first step
        finally:
            self._running.discard(task)
        return self._buffer.pack(transcript, self._run_stop.reason, self._access.take())

    async def throttled(self) -> float:
        """Wait until the API throttles this worker. Return the seconds for which all workers must pause."""
        return await self._throttle_pauses.get()

    async def pause(self, pause_seconds: float) -> None:
        """Pause model requests for `pause_seconds`, since the API throttled another worker."""
        self._limiter.on_remote_throttle(pause_seconds)

    async def cancel(self, kind: ErrorKind, message: str, stderr: str) -> None:
        """Cancel the queries in flight because the run ends. Each `run` returns what it has so far."""
        self._run_stop.cancel(RunError(kind, message, stderr=stderr))  # bounds their cleanup
        for task in self._running:
            task.cancel()

    async def close(self) -> WorkerMessage:
        """Shut down the servers. Return a message with the remaining events."""
        self._closing.set()
        await asyncio.wait({self._lifetime})
        return self._buffer.pack()

    async def _serve(self, ready: asyncio.Future[QueryExecutor]) -> None:
        """Hold the servers and the model open until `close` is called. Set `ready` to the executor or to an error."""
        context = RunContext(
            config=self._config,
            log=self._buffer.log,
            emit=self._buffer.emit,
            run_stop=self._run_stop,
            access=self._access,
            limiter=self._limiter,
        )
        try:
            async with AsyncExitStack() as stack:
                stack.enter_context(sdk_logs(context.emit, self._config.redactor))
                self._enter_folder()
                stack.enter_context(gc_tuned_for_run())
                ready.set_result(await stack.enter_async_context(open_worker(context)))
                await self._closing.wait()
        except Exception as error:  # noqa: BLE001  passed to `open`
            if not ready.done():
                ready.set_exception(error)

    def _enter_folder(self) -> None:
        try:
            os.chdir(self._folder)
        except OSError as error:
            message = f"the working directory {self._folder} is not available on every node: {error.strerror}"
            raise RunError(ErrorKind.SERVER_START, message) from None
