"""A model whose turns go through Message Batches: half the price, and no batch that is paid for is lost."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import anthropic

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind, McprunError, RequestError
from mcprun.limits import BATCH_TRIES, Limits
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.models.message_batches.api import BatchesClient, UnknownBatchError
from mcprun.models.message_batches.outcomes import reply_from_result
from mcprun.models.message_batches.queue import BatchContext, BatchQueue, QueuedRequest, measure
from mcprun.models.message_batches.recovery import BatchRecovery
from mcprun.models.message_batches.submitted import SubmittedRequests, UnconfirmedBatch
from mcprun.models.messages_api import AnthropicModel, has_marks
from mcprun.runs.events import BatchAsked, BatchEnded, BatchSent, Emit, WarningEvent

_T = TypeVar("_T")

_BATCH_NAME_BYTES = 8
"""Random bytes in the name under which a batch is recorded before it has an id. A `custom_id` is the request's digest,
this name and a number."""

_CREATION_SECONDS = 60.0
"""How long the end of a run waits for the id of a batch that is being created."""


class BatchModel:
    """A model that sends the requests of `model` in batches; an async context manager.

    On exit, pending batches are cancelled if the run was abandoned, and are otherwise left to finish. Each batch is
    recorded through `emit` before it is sent, and its id before any request waits for it.
    """

    def __init__(
        self,
        model: AnthropicModel,
        client: anthropic.AsyncAnthropic,
        context: BatchContext,
        limits: Limits,
        emit: Emit,
    ) -> None:
        self.name = model.name
        self._model = model
        self._batches = BatchesClient(client, model.name, limits.request_seconds, limits.batch_poll, emit)
        self._run_stop = context.run_stop
        self._telemetry = context.telemetry
        self._context = copy_context()  # the run's: a task would inherit the context of the query that starts it
        self._emit = emit
        self._submitted = SubmittedRequests(context.earlier_run)
        self._queue = BatchQueue(context.active, limits.batch_wait, self._send)
        seconds = limits.request_seconds
        self._recovery = BatchRecovery(
            self._submitted,
            self._batches,
            self._queue,
            model=model.name,
            send_seconds=seconds,
            emit=emit,
            telemetry=self._telemetry,
        )
        self._sending: set[asyncio.Task[Any]] = set()
        self._work: set[asyncio.Task[Any]] = set()
        self._pending: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        await self._recovery.search(self._submitted.unconfirmed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.close()
        if self._sending:
            await asyncio.wait(self._sending, timeout=_CREATION_SECONDS)
        tasks = [*self._sending, *self._work]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._recovery.close()
        pending = self._recovery.pending | self._pending
        is_abandoned = bool(pending) and await self._run_stop.wait_for_abandonment()
        for batch, requests in pending.items():
            await self._warn_pending(batch, requests, is_cancelled=is_abandoned)

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Wait for the request's result with the query's deadline paused; see `Model.reply`."""
        body = self._model.parameters(request)
        digest, size = measure(body)

        def queued_request() -> QueuedRequest:
            marks = has_marks(request)
            return QueuedRequest(request.where, request.turn, body, size, digest, request.model, has_marks=marks)

        with request.deadline.pause():
            if reply := await self._recovery.reply(queued_request()):
                return request.stream_whole(self._model.well_formed(reply))
            for _ in range(BATCH_TRIES):
                one = queued_request()
                self._queue.add(one)
                if reply := await one.answer:
                    return request.stream_whole(self._model.well_formed(reply))
        message = f"the API did not process the request in {BATCH_TRIES} batches"
        raise RequestError(ErrorKind.API_ERROR, message, may_pass=False)

    @contextmanager
    def waiting_elsewhere(self) -> Iterator[None]:
        """Let batches be sent without a query while the context lasts, since it waits for something else."""
        one = object()
        self._queue.add_waiting(one)
        try:
            yield
        finally:
            self._queue.discard_waiting([one])

    def _send(self, queued: list[QueuedRequest]) -> None:
        self._start(self._submit(queued), self._work, self._context.copy())

    async def _submit(self, queued: list[QueuedRequest]) -> None:
        """Send requests as one batch, and wait for it. An error is raised in all of them."""
        with self._telemetry.batch() as link:
            for one in queued:
                link(one.where)
            if created := await self._create_or_split(queued):
                await self._wait(*created)

    async def _create_or_split(self, queued: list[QueuedRequest]) -> tuple[str, dict[str, QueuedRequest]] | None:
        """Send requests as one batch. Return its id and its requests by `custom_id`.

        None if that failed, or if the batch was too large (413) and is sent in two halves.
        """
        try:
            # The end of the run must not lose the id of a batch that is paid for.
            return await asyncio.shield(self._start(self._create(queued), self._sending))
        except RequestError as error:
            if error.status == 413 and len(queued) > 1:
                self._send(queued[: len(queued) // 2])
                self._send(queued[len(queued) // 2 :])
            else:
                self._fail(queued, error)
        except Exception as error:  # noqa: BLE001  every waiting request must get the error
            self._fail(queued, error)
        return None

    async def _create(self, queued: list[QueuedRequest]) -> tuple[str, dict[str, QueuedRequest]]:
        """Create a batch, and record its id before waiting for it. Return the id, and the requests by `custom_id`.

        If it is unknown whether the API has the batch, search for it: requests that are made again are answered from
        there.
        """
        name = secrets.token_hex(_BATCH_NAME_BYTES)
        names = {f"{one.digest}-{name}-{number}": one for number, one in enumerate(queued)}
        records = [_request_record(custom_id, one) for custom_id, one in names.items()]
        unconfirmed = UnconfirmedBatch(datetime.now(UTC), records)
        self._emit(BatchAsked(wave=name, requests=records))
        requests = [{"custom_id": custom_id, "params": one.body} for custom_id, one in names.items()]
        try:
            batch = await self._batches.create(requests)
        except RequestError as error:
            if error.may_pass and error.kind is not ErrorKind.THROTTLED:
                await self._recovery.search([unconfirmed])
            raise
        self._pending[batch] = len(names)
        self._recovery.add_own(batch)
        self._emit(BatchSent(wave=name, batch=batch, size=len(names)))
        return batch, names

    async def _wait(self, batch: str, names: dict[str, QueuedRequest]) -> None:
        """Wait for a batch, and resolve each request with its result.

        A batch that could not be polled or read stays pending: a process that resumes the run reads it.
        """
        started = asyncio.get_running_loop().time()
        waiting, counts = dict(names), Counter[str]()

        def take(custom_id: str, result: JsonObject) -> None:
            if one := waiting.pop(custom_id, None):
                counts[str(result.get("type"))] += 1
                try:
                    _answer(one, reply_from_result(result, batch, custom_id, one, self.name))
                except McprunError as error:
                    self._fail([one], error)

        try:
            await self._batches.wait_ended(batch)
            self._queue.discard_waiting(names.values())
            await self._batches.results(batch, take)
        except Exception as error:  # noqa: BLE001  every waiting request must get the error
            self._fail(waiting.values(), error)
            if not isinstance(error, UnknownBatchError):
                self._pending[batch] = len(waiting)
                return
        for one in waiting.values():  # no result: treated as expired
            _answer(one, None)
        seconds = asyncio.get_running_loop().time() - started
        self._emit(BatchEnded(batch=batch, counts=dict(counts), seconds=seconds))
        self._pending.pop(batch)

    async def _warn_pending(self, batch: str, requests: int, *, is_cancelled: bool) -> None:
        """Warn of a batch whose results were not read before the end of the run. Cancel it first if `is_cancelled`."""
        message = f"batch {batch} ({requests:,} requests) is still pending: use --resume to fetch its results"
        if self._batches.has_ended(batch):
            message = (
                f"{self._batches.state(batch)}, but {requests:,} results were not read: use --resume to fetch them,"
                " with --retry-errors for queries that ended in an error"
            )
        elif is_cancelled:
            try:
                await self._batches.cancel(batch)
                message = f"batch {batch} ({requests:,} requests) was cancelled"
            except McprunError as error:
                message = f"batch {batch} could not be cancelled: {error}"
        self._emit(WarningEvent(message=message))

    def _fail(self, queued: Iterable[QueuedRequest], error: Exception) -> None:
        """Raise an error in all requests that still wait."""
        self._queue.discard_waiting(queued := list(queued))
        for one in queued:
            if not one.answer.done():
                one.answer.set_exception(error)

    def _start(
        self, work: Coroutine[Any, Any, _T], among: set[asyncio.Task[Any]], context: Context | None = None
    ) -> asyncio.Task[_T]:
        """Start a task in a context, or in the current one, and keep it in the set `among` until it is done."""
        task = asyncio.create_task(work, context=context)
        among.add(task)
        task.add_done_callback(among.discard)
        return task


def _request_record(custom_id: str, one: QueuedRequest) -> JsonObject:
    where = one.where
    return {
        "custom_id": custom_id, "query": where.query, "repeat": where.repeat, "attempt": where.attempt, "turn": one.turn
    }  # fmt: skip


def _answer(one: QueuedRequest, reply: ModelReply | None) -> None:
    if not one.answer.done():
        one.answer.set_result(reply)
