"""How turns are gathered into waves: who waits for a batch, and when one goes out. Knows no API."""

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
"""Hexadecimal digits of a request's hash that its `custom_id` begins with; the API takes 64 characters in all."""

_WRAPPING = 100
"""Bytes that stand around a request in a batch, its `custom_id` among them."""


class ActiveQueryCount:
    """How many queries are in flight, or may yet be; whoever watches is told when one is no more."""

    def __init__(self, queries: int = 0) -> None:
        self.queries = queries
        self._watchers: list[Callable[[], None]] = []

    def watch(self, told: Callable[[], None]) -> None:
        """Have `told` called each time that there is one less."""
        self._watchers.append(told)

    def land(self, _: object = None) -> None:
        """Count one less: there is nothing left to be run in its place."""
        self.queries -= 1
        for told in self._watchers:
            told()


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What batches need to know of the run: its queries in flight, how it ends, and its `earlier` part, if any.

    `telemetry` traces batches.
    """

    flight: ActiveQueryCount
    ending: RunStop
    earlier: Run | None = None
    telemetry: Telemetry = field(default_factory=NoTelemetry)


@dataclass(frozen=True, slots=True, eq=False)
class QueuedRequest:
    """A request that waits: whose turn it is, its body with the size in bytes, and a `digest` to find it again by.

    `asked_for` is the model that the query names itself, and it `has_marks` if it asks for caching itself. The `answer`
    is `None` where the request has to be sent again.
    """

    where: AttemptRef
    turn: int
    body: JsonObject
    size: int
    digest: str
    asked_for: str | None
    has_marks: bool = False
    answer: asyncio.Future[ModelReply | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


def measured(body: JsonObject) -> tuple[str, int]:
    """Give a request's digest, by which it is known again, and how many bytes of a batch it takes at most."""
    text = json.dumps(body, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:_DIGEST], len(text) + _WRAPPING


class BatchQueue:
    """Where requests wait until they are sent together.

    They go out at once when all queries in flight wait, or when a batch holds no more; else when nobody has joined
    for so many `seconds`, since calls may take longer than others wish to wait for. `send` is handed a wave.
    """

    def __init__(self, flight: ActiveQueryCount, seconds: float, send: Callable[[list[QueuedRequest]], None]) -> None:
        self._flight = flight
        self._seconds = seconds
        self._send = send
        self._here: list[QueuedRequest] = []
        self._bytes = 0
        self._all: set[object] = set()
        self._timer: asyncio.TimerHandle | None = None
        flight.watch(self._look)

    def join(self, one: QueuedRequest) -> None:
        """Wait for the next wave."""
        if self._bytes + one.size > BATCH_BYTES:
            self.send()
        self._here.append(one)
        self._bytes += one.size
        if len(self._here) >= BATCH_REQUESTS:
            self.send()
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self.send)
        self.aside(one)

    def aside(self, one: object) -> None:
        """Count a query that waits for something other than the next batch, such as one in flight.

        Others that go on in this turn of the event loop are about to release themselves, or to join: look after them.
        """
        self._all.add(one)
        asyncio.get_running_loop().call_soon(self._look)

    def release(self, some: Iterable[object]) -> None:
        """Stop counting queries whose wait is over."""
        self._all.difference_update(some)

    def send(self) -> None:
        """Send who is here."""
        if self._timer:
            self._timer.cancel()
        wave, self._here, self._bytes = [one for one in self._here if not one.answer.done()], [], 0
        if wave:
            self._send(wave)

    def close(self) -> None:
        """Send nobody any more."""
        self._here = []
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        if self._here and len(self._all) >= self._flight.queries:
            self.send()
