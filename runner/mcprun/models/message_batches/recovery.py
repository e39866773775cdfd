"""Recover replies from batches sent earlier: by an earlier process, or in a request whose response did not arrive.

The results of such a batch are paid for, and need not be requested again. The trace records the requests of a batch
before it is sent, and its id afterwards. If the id is missing, because the process was killed in between or the API's
response was lost, the batches that the API lists are searched. A list holds no `custom_id`, so each batch that fits by
its time and its size is waited for, and recognised by the `custom_id`s of its results, which only one batch has. A
batch that is not listed within these bounds is not found: its requests are sent, and paid for, again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace

from mcprun.errors import McprunError, QueryError
from mcprun.models.base import ModelReply
from mcprun.models.message_batches.api import BatchesClient, UnknownBatchError
from mcprun.models.message_batches.outcomes import reply_from_result
from mcprun.models.message_batches.queue import BatchQueue, QueuedRequest
from mcprun.models.message_batches.spool import Spool
from mcprun.models.message_batches.submitted import SubmittedRequests, UnconfirmedBatch
from mcprun.runs.events import AttemptRef, Emit, WarningEvent
from mcprun.telemetry import Telemetry


class BatchRecovery:
    """Returns replies from batches that were sent earlier.

    `pending` holds the run's own batches among them that have not ended, with their numbers of requests. Queries that
    wait for a batch count as waiting in `queue`. Batches that can't be found or read are reported through `emit`.
    `model` is the run's model in messages, and `send_seconds` the longest time that sending a batch takes.
    """

    def __init__(
        self,
        submitted: SubmittedRequests,
        batches: BatchesClient,
        queue: BatchQueue,
        *,
        model: str,
        send_seconds: float,
        emit: Emit,
        telemetry: Telemetry,
    ) -> None:
        self.pending: dict[str, int] = {}
        self._submitted = submitted
        self._batches = batches
        self._queue = queue
        self._model = model
        self._send_seconds = send_seconds
        self._emit = emit
        self._telemetry = telemetry
        self._context = copy_context()  # as in `BatchModel`
        self._links: dict[str, Callable[[AttemptRef], None]] = {}
        self._known = set(submitted.sizes)
        self._spools: dict[str, asyncio.Task[Spool | None]] = {}
        self._waiting: dict[str, list[QueuedRequest]] = {}

    def add_own(self, batch: str) -> None:
        """Record a batch that this process sent, so that no search mistakes it for an unconfirmed one."""
        self._known.add(batch)

    async def search(self, unconfirmed: Sequence[UnconfirmedBatch]) -> None:
        """Search the API's list for unconfirmed batches. Later requests are looked up in those that fit."""
        if not unconfirmed:
            return
        try:
            listed = await self._batches.since(min(one.earliest for one in unconfirmed))
        except McprunError as error:
            self._emit(WarningEvent(message=f"can't search for a batch whose id is unknown: {error}"))
            return
        for found in listed:
            fits = [one for one in unconfirmed if one.may_match(found.created, found.requests, self._send_seconds)]
            if fits and found.id not in self._known:
                self._known.add(found.id)
                self._emit(WarningEvent(message=f"waiting for batch {found.id}, which may be one whose id is unknown"))
                for one in fits:
                    self._submitted.add_batch(found.id, one.requests)

    async def reply(self, one: QueuedRequest) -> ModelReply | None:
        """Return the reply to the same request of the same query once its batch has ended, or None if no batch has it.

        Raises `QueryError` if the batch is the run's own and its results can't be read: they are paid for.
        """
        while claimed := self._submitted.claim(one.where, one.digest):
            batch, custom_id = claimed
            spool = await self._open_spool(batch, one)
            result = spool.get(custom_id) if spool else None
            if spool and spool.failure and not result:
                raise spool.failure
            if not result or result.get("type") != "succeeded":
                continue
            with suppress(QueryError):  # an unreadable result is requested again
                if reply := reply_from_result(result, batch, custom_id, one, self._model):
                    return replace(reply, is_counted=claimed in self._submitted.counted)
        return None

    async def close(self) -> None:
        """Stop waiting for batches, and close their results."""
        for task in self._spools.values():
            task.cancel()
        for spool in await asyncio.gather(*self._spools.values(), return_exceptions=True):
            if isinstance(spool, Spool):
                spool.close()

    async def _open_spool(self, batch: str, one: QueuedRequest) -> Spool | None:
        if batch not in self._spools:
            self._spools[batch] = asyncio.create_task(self._fetch_traced(batch), context=self._context.copy())
        if not self._spools[batch].done():
            self._waiting.setdefault(batch, []).append(one)
            if link := self._links.get(batch):
                link(one.where)
            self._queue.add_waiting(one)
        return await asyncio.shield(self._spools[batch])

    async def _fetch_traced(self, batch: str) -> Spool | None:
        """Fetch the results of a batch within a span that is linked to the queries waiting for them."""
        with self._telemetry.batch(batch) as link:
            self._links[batch] = link
            for one in self._waiting.get(batch, []):
                link(one.where)
            return await self._fetch(batch)

    async def _fetch(self, batch: str) -> Spool | None:
        """Fetch the results of a batch once it has ended.

        None if the batch is unknown, or if it can't be read and is not certain to be the run's own.
        """
        spool = Spool()
        is_own = batch in self._submitted.sizes
        if is_own:
            self.pending[batch] = self._submitted.sizes[batch]
        try:
            await self._batches.wait_ended(batch)
            await self._batches.results(batch, spool.put)
        except QueryError as error:
            if is_own and not isinstance(error, UnknownBatchError):
                spool.failure = error
                return spool
            spool.close()
            self.pending.pop(batch, None)
            self._emit(WarningEvent(message=f"resending the requests of batch {batch}: {error}"))
            return None
        finally:
            self._queue.discard_waiting(self._waiting.pop(batch, []))
        self.pending.pop(batch, None)
        return spool
