"""The Message Batches API through the anthropic SDK: create a batch, wait until it has ended, read its results.

See https://docs.claude.com/en/docs/build-with-claude/batch-processing. Polling a batch and reading its results are
retried a bounded number of times. Nothing is lost if they fail: the API keeps the results for 29 days.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import anthropic
from anthropic.types.messages import MessageBatch, MessageBatchRequestCounts
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    wait_exponential,
)
from tenacity.stop import StopBaseT, stop_base

from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind, RequestError
from mcprun.limits import BATCH_LIST_TRIES, BATCH_LOOK_TRIES, BATCH_LOST_SECONDS, BATCH_RESULT_TRIES, BATCHES_LISTED
from mcprun.models.api_errors import translate_api_errors
from mcprun.models.message_batches.outcomes import result_of
from mcprun.runs.events import Emit, Retry

_DOUBLINGS = 6
"""A batch is first polled after a 64th of the longest wait: small batches often end within minutes."""

_PAGE = 100
"""Batches listed by one request."""

TakeResult = Callable[[str, JsonObject], None]
"""A callback for a result: its `custom_id` and its `result`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch as the API lists it: when it was created there, and its number of requests. It holds no `custom_id`."""

    id: str
    created: datetime
    requests: int


class UnknownBatchError(RequestError):
    """The API does not know a batch, or no longer does."""

    def __init__(self, what: str) -> None:
        super().__init__(ErrorKind.API_ERROR, f"the API did not find {what}", may_pass=False)


class BatchesClient:
    """Sends requests to the Message Batches API. `model` is the run's model in messages.

    `timeout_s` limits each request, and `poll` is the longest wait between two polls in seconds. Retries are reported
    through `emit`.
    """

    def __init__(self, client: anthropic.AsyncAnthropic, model: str, timeout_s: float, poll: float, emit: Emit) -> None:
        self._client = client
        self._model = model
        self._timeout_s = timeout_s
        self._poll = poll
        self._emit = emit
        self._ended: dict[str, str] = {}

    def has_ended(self, batch: str) -> bool:
        """Return whether a batch is known to have ended."""
        return batch in self._ended

    def state(self, batch: str) -> str:
        """Describe a batch that has ended, with how many of its requests ended in which way."""
        counts = self._ended.get(batch)
        return f"batch {batch} has ended" + (f" ({counts})" if counts else "")

    async def create(self, requests: Sequence[JsonObject]) -> str:
        """Create a batch of requests, each a `custom_id` and its `params`; return its id. Raises like `Model.reply`."""
        with translate_api_errors(None, self._model, self._timeout_s):
            async with asyncio.timeout(self._timeout_s):
                batch = await self._client.messages.batches.create(requests=requests)  # type: ignore[arg-type]
            return _check_batch(batch).id

    async def wait_ended(self, batch: str) -> None:
        """Poll a batch until it has ended, often at first, then every `poll` seconds.

        Raises `UnknownBatchError`, or `RequestError` if it does not end within a day, the credentials are refused, or
        `BATCH_LOOK_TRIES` polls in a row fail.
        """
        stop = stop_any(_Failures(BATCH_LOOK_TRIES), stop_after_delay(BATCH_LOST_SECONDS))
        try:
            await self._retrying(stop)(self._poll_ended, batch)
        except RetryError:
            message = f"batch {batch} did not end within a day"
            raise RequestError(ErrorKind.REQUEST_TIMEOUT, message, may_pass=False) from None
        except RequestError as error:
            if not error.may_pass:
                raise
            message = f"{BATCH_LOOK_TRIES} polls of batch {batch} in a row failed"
            raise _permanent_error(error, f"{message}; it may be pending or have ended") from None

    async def results(self, batch: str, take: TakeResult) -> None:
        """Call `take` with each result of a batch that has ended, in any order.

        If a result can't be read, or the response breaks off, all are read again: `take` is called more than once for
        some. Raises `UnknownBatchError`, or `RequestError` after `BATCH_RESULT_TRIES` failures; `take` has then been
        called for those that could be read.
        """
        try:
            await self._retrying(stop_after_attempt(BATCH_RESULT_TRIES))(self._read, batch, take)
        except RequestError as error:
            if not error.may_pass:
                raise
            message = f"{self.state(batch)}, but its results could not be read in {BATCH_RESULT_TRIES} tries"
            raise _permanent_error(error, message) from None

    async def since(self, when: datetime) -> list[Listed]:
        """Return the batches created since `when`, newest first. Raises like `Model.reply`."""
        return await self._retrying(stop_after_attempt(BATCH_LIST_TRIES))(self._list, when)

    async def cancel(self, batch: str) -> None:
        """Cancel a batch. Its results so far are kept, and paid for."""
        with translate_api_errors(None, self._model, self._timeout_s):
            async with asyncio.timeout(self._timeout_s):
                await self._client.messages.batches.cancel(batch)

    async def _poll_ended(self, batch: str) -> bool:
        with translate_api_errors(None, self._model, self._timeout_s):
            async with asyncio.timeout(self._timeout_s):
                try:
                    found = await self._client.messages.batches.retrieve(batch)
                except anthropic.NotFoundError:
                    raise UnknownBatchError(f"batch {batch}") from None
            has_ended = _check_batch(found).processing_status == "ended"
        if has_ended:
            self._ended[batch] = _describe_counts(found)
        return has_ended

    async def _read(self, batch: str, take: TakeResult) -> None:
        with translate_api_errors(None, self._model, self._timeout_s):
            try:
                async with self._client.messages.batches.with_streaming_response.results(batch) as response:
                    unread: list[Exception] = []
                    rest = b""
                    async for chunk in response.iter_bytes():
                        *lines, rest = (rest + chunk).split(b"\n")
                        unread += _take_results(lines, take)
                    unread += _take_results([rest] if rest.strip() else [], take)
                if unread:
                    raise ValueError(f"malformed results: {len(unread):,}, the first: {unread[0]}")
            except anthropic.NotFoundError:
                raise UnknownBatchError(f"batch {batch}") from None
            except (AttributeError, TypeError) as error:  # the SDK retrieves the batch first, without validation
                raise ValueError(f"not a message batch: {error}") from None
            except anthropic.AnthropicError as error:
                if isinstance(error, anthropic.APIError):
                    raise
                raise UnknownBatchError(f"the results of batch {batch}") from None  # deleted: without `results_url`

    async def _list(self, when: datetime) -> list[Listed]:
        listed: list[Listed] = []
        with translate_api_errors(None, self._model, self._timeout_s):
            async with asyncio.timeout(self._timeout_s):
                try:
                    async for batch in self._client.messages.batches.list(limit=_PAGE):
                        if batch.created_at < when or len(listed) == BATCHES_LISTED:
                            break
                        counts = batch.request_counts
                        requests = counts.processing + counts.succeeded + counts.errored + counts.canceled
                        listed.append(Listed(batch.id, batch.created_at, requests + counts.expired))
                except anthropic.NotFoundError:
                    raise UnknownBatchError("the list of batches") from None
                except (AttributeError, TypeError) as error:  # the SDK does not validate what it reads
                    raise ValueError(f"not a list of batches: {error}") from None
        return listed

    def _retrying(self, stop_condition: StopBaseT) -> AsyncRetrying:
        """Return a retry policy that repeats on a `False` result and on an error that may pass."""
        return AsyncRetrying(
            stop=stop_condition,
            retry=retry_if_result(lambda answer: answer is False)
            | retry_if_exception(lambda error: isinstance(error, RequestError) and error.may_pass),
            wait=self._wait,
            before_sleep=self._before_sleep,
            sleep=asyncio.sleep,
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds before the next request: doubled each time, up to `poll`.

        If the API asks for longer, wait as long as it asks, within the same bound.
        """
        error = _error(state)
        retry_after = error.retry_after if error and error.retry_after else 0.0
        doubled = wait_exponential(multiplier=self._poll / 2**_DOUBLINGS, max=self._poll)(state)
        return max(doubled, min(retry_after, self._poll))

    def _before_sleep(self, state: RetryCallState) -> None:
        if error := _error(state):
            message = f"{error.kind}: {error}"
            self._emit(
                Retry(
                    tried=state.attempt_number,
                    error=message,
                    status=error.status,
                    request_id=error.request_id,
                    wait=state.upcoming_sleep,
                )
            )


def _error(state: RetryCallState) -> RequestError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, RequestError) else None


class _Failures(stop_base):
    """Stops after `limit` failures in a row.

    A successful poll of a batch that has not ended starts a new row.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._row = 0

    def __call__(self, retry_state: RetryCallState) -> bool:
        self._row = self._row + 1 if _error(retry_state) else 0
        return self._row >= self._limit


def _check_batch(batch: MessageBatch) -> MessageBatch:
    """Return a batch that the SDK has parsed. Raises `ValueError` if it is malformed, which the SDK does not check."""
    if not isinstance(batch, MessageBatch) or not (isinstance(batch.id, str) and batch.processing_status):
        raise ValueError("not a message batch")
    return batch


def _describe_counts(batch: MessageBatch) -> str:
    """Describe how many requests of a batch ended in which way."""
    found = batch.request_counts
    counts = found.model_dump() if isinstance(found, MessageBatchRequestCounts) else {}
    kinds = ("succeeded", "errored", "canceled", "expired")
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in kinds if isinstance(counts.get(kind), int) and counts[kind])


def _take_results(lines: Iterable[bytes], take: TakeResult) -> list[Exception]:
    """Call `take` with the result of each line that can be read. Return the errors of the others."""
    unread: list[Exception] = []
    for line in lines:
        try:
            result = result_of(line)
        except (ValueError, RecursionError) as error:
            unread.append(error)
        else:
            take(*result)
    return unread


def _permanent_error(error: RequestError, message: str) -> RequestError:
    """Return the error of the waiting queries. It may not pass: a retry would pay for the same requests twice."""
    what = f"{message}: {error}. Use --resume with --retry-errors to fetch its results"
    return RequestError(error.kind, what, may_pass=False, status=error.status, request_id=error.request_id)
