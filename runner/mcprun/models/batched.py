"""A model whose turns go through Message Batches, in waves: half the price, and nothing that is paid for is lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

import anthropic

from mcprun.errors import ErrorKind, McprunError, QueryError, RequestError
from mcprun.events import BatchEnded, BatchSent, Emit, Warned
from mcprun.limits import BATCH_TRIES, Limits
from mcprun.models import Reply, Request
from mcprun.models.anthropic import AnthropicModel
from mcprun.models.batches import Batches, answered
from mcprun.models.kept import Kept, Spool
from mcprun.models.waves import Room, Waiting, Waves

_DIGEST = 48
"""Hexadecimal digits of a request's hash that its `custom_id` begins with; the API takes 64 characters."""

_PATIENCE_SECONDS = 60.0
"""How long the end of a run waits for the id of a batch that is just being sent: without it, it would be paid twice."""


class BatchModel:
    """Asks what `model` would ask, in batches; an async context manager, at whose end pending batches are left alone.

    Only when the run was abandoned they are cancelled. `emit` is told of each batch before anybody waits for it.
    """

    def __init__(
        self, model: AnthropicModel, client: anthropic.AsyncAnthropic, waves: Waves, limits: Limits, emit: Emit
    ) -> None:
        self.name = model.name
        self._model = model
        self._batches = Batches(client, model.name, limits.request_seconds, limits.batch_poll)
        self._ending = waves.ending
        self._retries = limits.retries
        self._emit = emit
        self._kept = Kept(waves.earlier)
        self._room = Room(waves.flight, limits.batch_wait, self._send)
        self._sending: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._pending: dict[str, int] = {}
        self._spools: dict[str, asyncio.Task[Spool | None]] = {}
        self._aside: dict[str, list[Waiting]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.close()
        if self._sending:
            await asyncio.wait(self._sending, timeout=_PATIENCE_SECONDS)
        left: list[asyncio.Task[None] | asyncio.Task[Spool | None]] = [*self._sending, *self._work]
        left += self._spools.values()
        for task in left:
            task.cancel()
        for found in await asyncio.gather(*left, return_exceptions=True):
            if isinstance(found, Spool):
                found.close()
        for batch, requests in self._pending.items():
            await self._leave(batch, requests)

    async def reply(self, request: Request) -> Reply:
        """Wait for the request's result, off the query's clock; see `Model.reply`."""
        body = self._model.parameters(request)
        text = json.dumps(body, sort_keys=True).encode()
        digest = hashlib.sha256(text).hexdigest()[:_DIGEST]

        def waiting() -> Waiting:
            return Waiting(request.where, request.turn, body, len(text), digest, request.model)

        with request.deadline.paused():
            while claimed := self._kept.claim(request.where, digest):
                if reply := await self._earlier(waiting(), *claimed):
                    return request.told(reply)
            for _ in range(BATCH_TRIES):
                one = waiting()
                self._room.join(one)
                if reply := await one.answer:
                    return request.told(reply)
        message = f"the API did not come to the request in {BATCH_TRIES} batches"
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=False)

    def _send(self, wave: list[Waiting]) -> None:
        task = asyncio.create_task(self._through(wave))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _through(self, wave: list[Waiting]) -> None:
        """Send a wave, wait for its batch, and hand out the results. What fails is told to all who still wait."""
        names = {f"{one.digest}-{number}": one for number, one in enumerate(wave)}
        try:
            sending = asyncio.create_task(self._create(names))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
            await asyncio.shield(sending)  # the end of the run must not lose the id of what is paid for
        except RequestError as error:
            if error.status == 413 and len(wave) > 1:
                self._send(wave[: len(wave) // 2])
                self._send(wave[len(wave) // 2 :])
            else:
                self._fail(wave, error)
        except Exception as error:  # noqa: BLE001  who waits must hear of it, whatever it is
            self._fail(wave, error)

    async def _create(self, names: dict[str, Waiting]) -> None:
        """Send a batch, and write down which it is before it is waited for."""
        batch = await self._batches.create([{"custom_id": name, "params": one.body} for name, one in names.items()])
        where = [
            {"custom_id": name, "query": one.where.query, "repeat": one.where.repeat, "attempt": one.where.attempt,
             "turn": one.turn}
            for name, one in names.items()
        ]  # fmt: skip
        self._pending[batch] = len(names)
        self._emit(BatchSent(batch=batch, requests=where))
        task = asyncio.create_task(self._wait(batch, names))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _wait(self, batch: str, names: dict[str, Waiting]) -> None:
        started = asyncio.get_running_loop().time()
        waiting, counts = dict(names), Counter[str]()
        try:
            await self._batches.ended(batch)
            self._room.release(names.values())
            await self._hand_out(batch, waiting, counts)
        except Exception as error:  # noqa: BLE001  who waits must hear of it, whatever it is
            self._fail(waiting.values(), error)
            if not isinstance(error, QueryError):
                return  # of the batch itself nothing is known: it stays pending
        for one in waiting.values():  # no result at all: as if it had expired
            _answer(one, None)
        seconds = asyncio.get_running_loop().time() - started
        self._emit(BatchEnded(batch=batch, counts=dict(counts), seconds=seconds))
        self._pending.pop(batch)

    async def _hand_out(self, batch: str, waiting: dict[str, Waiting], counts: Counter[str]) -> None:
        """Give each result to who waits for it, as it comes; where they break off, read again what is left."""
        for tried in range(self._retries + 1):
            try:
                async for name, result in self._batches.results(batch):
                    if one := waiting.pop(name, None):
                        counts[str(result.get("type"))] += 1
                        try:
                            _answer(one, answered(result, batch, name, one.asked_for, self.name))
                        except McprunError as error:
                            self._fail([one], error)
            except RequestError as error:
                if not error.may_pass or tried == self._retries:
                    raise
            else:
                return

    async def _earlier(self, one: Waiting, batch: str, name: str) -> Reply | None:
        """Give the result that a batch of an earlier process has for a request, if it has one."""
        if batch not in self._spools:
            self._spools[batch] = asyncio.create_task(self._spool(batch))
        if not self._spools[batch].done():
            self._aside.setdefault(batch, []).append(one)
            self._room.aside(one)
        spool = await asyncio.shield(self._spools[batch])
        result = spool.get(name) if spool else None
        if not result or result.get("type") != "succeeded":
            return None
        with suppress(QueryError):  # what can't be read is asked again
            if reply := answered(result, batch, name, one.asked_for, self.name):
                return replace(reply, is_counted=(batch, name) in self._kept.counted)
        return None

    async def _spool(self, batch: str) -> Spool | None:
        """Fetch the results of an earlier batch, once it has ended; `None` when they are not to be had any more."""
        spool = Spool()
        try:
            self._pending[batch] = self._kept.sizes[batch]
            await self._batches.ended(batch)
            async for name, result in self._batches.results(batch):
                spool.put(name, result)
        except QueryError as error:
            self._emit(Warned(message=f"what the batch {batch} brought is asked again: {error}"))
            return None
        finally:
            self._room.release(self._aside.pop(batch, []))
        self._pending.pop(batch, None)
        return spool

    async def _leave(self, batch: str, requests: int) -> None:
        """Tell of a batch that is still pending at the end of the run, and cancel it if that is wanted."""
        told = f"the batch {batch} ({requests:,} requests) is still pending: --resume takes its results"
        if self._ending.is_abandoned:
            try:
                await self._batches.cancel(batch)
                told = f"the batch {batch} ({requests:,} requests) was cancelled"
            except McprunError as error:
                told = f"the batch {batch} could not be cancelled: {error}"
        self._emit(Warned(message=told))

    def _fail(self, wave: Iterable[Waiting], error: Exception) -> None:
        """Let those who wait hear of an error."""
        self._room.release(wave := list(wave))
        for one in wave:
            if not one.answer.done():
                one.answer.set_exception(error)


def _answer(one: Waiting, reply: Reply | None) -> None:
    if not one.answer.done():
        one.answer.set_result(reply)
