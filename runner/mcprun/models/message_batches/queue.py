"""Gather requests into batches: which queries wait for one, and when it is sent. Sends nothing itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mcprun._util.json_value import JsonObject
from mcprun._util.run_stop import RunStop
from mcprun.limits import BATCH_BYTES, BATCH_REQUESTS
from mcprun.models.base import ModelReply
from mcprun.runs.events import AttemptRef
from mcprun.runs.run import Run
from mcprun.telemetry import NoTelemetry, Telemetry

_DIGEST = 40
"""Hexadecimal digits of a request's hash at the start of its `custom_id`, which may have 64 characters in all."""

_WRAPPING = 100
"""Bytes around the body of a request in a batch, including its `custom_id`."""


class ActiveQueryCount:
    """The number of queries that are in flight or still to run. Watchers are called when it decreases."""

    def __init__(self, queries: int = 0) -> None:
        self.queries = queries
        self._watchers: list[Callable[[], None]] = []

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` each time that the number decreases."""
        self._watchers.append(callback)

    def finish_one(self, _: object = None) -> None:
        """Decrease the number by one: no query is left to run in place of the finished one."""
        self.queries -= 1
        for callback in self._watchers:
            callback()


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What batches need from the run: its `active` queries, and how it ends.

    `earlier_run` is what earlier processes recorded, if the run is resumed. `telemetry` traces batches.
    """

    active: ActiveQueryCount
    run_stop: RunStop
    earlier_run: Run | None = None
    telemetry: Telemetry = field(default_factory=NoTelemetry)


@dataclass(frozen=True, slots=True, eq=False)
class QueuedRequest:
    """A request in the queue: its query and turn, its body with the size in bytes, and a `digest` to identify it.

    `requested_model` is the model that the query names itself. `has_marks` is set if the query sets `cache_control`
    itself. `answer` resolves to None if the request has to be sent again.
    """

    where: AttemptRef
    turn: int
    body: JsonObject
    size: int
    digest: str
    requested_model: str | None
    has_marks: bool = False
    answer: asyncio.Future[ModelReply | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


def measure(body: JsonObject) -> tuple[str, int]:
    """Return a request's digest, which identifies it, and the most bytes that it takes in a batch."""
    text = json.dumps(body, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:_DIGEST], len(text) + _WRAPPING


class BatchQueue:
    """Holds requests until they are sent together.

    They are sent at once when all queries in flight wait, or when the batch is full. Otherwise they are sent when no
    request has joined for `max_wait` seconds, since the tool calls of one query may take longer than the others should
    wait. `send` is called with the requests of a batch.
    """

    def __init__(
        self, active_queries: ActiveQueryCount, max_wait: float, send: Callable[[list[QueuedRequest]], None]
    ) -> None:
        self._active_queries = active_queries
        self._max_wait = max_wait
        self._send = send
        self._queued: list[QueuedRequest] = []
        self._bytes = 0
        self._waiting: set[object] = set()
        self._timer: asyncio.TimerHandle | None = None
        active_queries.on_change(self._send_if_all_wait)

    def add(self, one: QueuedRequest) -> None:
        """Add a request to the next batch."""
        if self._bytes + one.size > BATCH_BYTES:
            self.send()
        self._queued.append(one)
        self._bytes += one.size
        if len(self._queued) >= BATCH_REQUESTS:
            self.send()
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._max_wait, self.send)
        self.add_waiting(one)

    def add_waiting(self, one: object) -> None:
        """Count a query as waiting: for the next batch, or for something else, such as a batch in flight.

        Other queries that continue in this iteration of the event loop are about to release themselves or to join, so
        check after them.
        """
        self._waiting.add(one)
        asyncio.get_running_loop().call_soon(self._send_if_all_wait)

    def discard_waiting(self, some: Iterable[object]) -> None:
        """Stop counting queries as waiting."""
        self._waiting.difference_update(some)

    def send(self) -> None:
        """Send the requests in the queue."""
        if self._timer:
            self._timer.cancel()
        queued, self._queued, self._bytes = [one for one in self._queued if not one.answer.done()], [], 0
        if queued:
            self._send(queued)

    def close(self) -> None:
        """Discard the requests in the queue, and send nothing more."""
        self._queued = []
        if self._timer:
            self._timer.cancel()

    def _send_if_all_wait(self) -> None:
        if self._queued and len(self._waiting) >= self._active_queries.queries:
            self.send()
