"""The Message Batches API, through the anthropic SDK: send a batch, wait until it has ended, read its results.

See https://docs.claude.com/en/docs/build-with-claude/batch-processing. What is paid for is not given up because a
request for it fails: looks at a batch and its results are asked for again, for up to a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import anthropic
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
)
from tenacity.stop import StopBaseT

from mcprun.errors import ErrorKind, RequestError
from mcprun.events import Emit, Retry
from mcprun.limits import BATCH_LIST_TRIES, BATCH_LOST_SECONDS, BATCHES_LISTED
from mcprun.models.anthropic import told
from mcprun.models.outcomes import result_of
from mcprun.records import JsonObject

_DOUBLINGS = 6
"""A batch is looked at first after a 64th of the longest wait: small ones are often done within minutes."""

_PAGE = 100
"""Batches that are listed with one request."""

Take = Callable[[str, JsonObject], None]
"""Takes a result: its `custom_id` and its `result`."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch as the API lists it: when it was created there, and how many requests it has. It tells no `custom_id`."""

    id: str
    created: datetime
    requests: int


class Batches:
    """Speaks to the API. `model` names the run's model in messages, `seconds` bounds a request, `poll` a wait.

    `emit` is told of what fails and is tried again.
    """

    def __init__(self, client: anthropic.AsyncAnthropic, model: str, seconds: float, poll: float, emit: Emit) -> None:
        self._client = client
        self._model = model
        self._seconds = seconds
        self._poll = poll
        self._emit = emit

    async def create(self, requests: Sequence[JsonObject]) -> str:
        """Send requests, each a `custom_id` and its `params`; give the batch's id. Raises as `Model.reply` does."""
        with told(None, self._model, self._seconds):
            async with asyncio.timeout(self._seconds):
                batch = await self._client.messages.batches.create(requests=requests)  # type: ignore[arg-type]
        return batch.id

    async def ended(self, batch: str) -> None:
        """Wait until a batch has ended: look at it, at first often, then every `poll` seconds.

        Raises `RequestError` when the API does not know it or it never ends, `RunError` when the key is refused.
        """
        try:
            await self._retrying(stop_after_delay(BATCH_LOST_SECONDS))(self._has_ended, batch)
        except RetryError:
            message = f"the batch {batch} did not end within a day"
            raise RequestError(ErrorKind.REQUEST_TIMEOUT, message, may_pass=False) from None

    async def results(self, batch: str, take: Take) -> None:
        """Have `take` called with each result of a batch that has ended, in whatever order.

        Where they break off they are read from the beginning, so that `take` gets some of them again. Raises
        `RequestError` when they are not to be had.
        """
        await self._retrying(stop_after_delay(BATCH_LOST_SECONDS))(self._read, batch, take)

    async def since(self, when: datetime) -> list[Listed]:
        """List the batches that were created since then, the newest first. Raises as `Model.reply` does."""
        return await self._retrying(stop_after_attempt(BATCH_LIST_TRIES))(self._list, when)

    async def cancel(self, batch: str) -> None:
        """Have a batch cancelled. What of it is done already is kept, and paid for."""
        with told(None, self._model, self._seconds):
            async with asyncio.timeout(self._seconds):
                await self._client.messages.batches.cancel(batch)

    async def _has_ended(self, batch: str) -> bool:
        with told(None, self._model, self._seconds):
            async with asyncio.timeout(self._seconds):
                try:
                    found = await self._client.messages.batches.retrieve(batch)
                except anthropic.NotFoundError:
                    raise _unknown(f"the batch {batch}") from None
        return found.processing_status == "ended"

    async def _read(self, batch: str, take: Take) -> None:
        with told(None, self._model, self._seconds):
            try:
                async with self._client.messages.batches.with_streaming_response.results(batch) as response:
                    rest = b""
                    async for chunk in response.iter_bytes():
                        *lines, rest = (rest + chunk).split(b"\n")
                        for line in lines:
                            take(*result_of(line))
                    if rest.strip():
                        take(*result_of(rest))
            except anthropic.NotFoundError:
                raise _unknown(f"the batch {batch}") from None

    async def _list(self, when: datetime) -> list[Listed]:
        listed: list[Listed] = []
        with told(None, self._model, self._seconds):
            async with asyncio.timeout(self._seconds):
                try:
                    async for batch in self._client.messages.batches.list(limit=_PAGE):
                        if batch.created_at < when or len(listed) == BATCHES_LISTED:
                            break
                        counts = batch.request_counts
                        requests = counts.processing + counts.succeeded + counts.errored + counts.canceled
                        listed.append(Listed(batch.id, batch.created_at, requests + counts.expired))
                except anthropic.NotFoundError:
                    raise _unknown("a list of batches") from None
        return listed

    def _retrying(self, stop: StopBaseT) -> AsyncRetrying:
        """Ask again while the answer is `False`, or an error that may pass."""
        return AsyncRetrying(
            stop=stop,
            retry=retry_if_result(lambda answer: answer is False)
            | retry_if_exception(lambda error: isinstance(error, RequestError) and error.may_pass),
            wait=self._wait,
            before_sleep=self._told,
            sleep=asyncio.sleep,
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        """Double the wait each time, up to `poll`; heed what the API asks for, within the same bound."""
        error = _error(state)
        asked = error.retry_after if error and error.retry_after else 0.0
        doubled = wait_exponential(multiplier=self._poll / 2**_DOUBLINGS, max=self._poll)(state)
        return max(doubled, min(asked, self._poll))

    def _told(self, state: RetryCallState) -> None:
        if error := _error(state):
            told = f"{error.kind}: {error}"
            self._emit(
                Retry(
                    tried=state.attempt_number,
                    error=told,
                    status=error.status,
                    request_id=error.request_id,
                    wait=state.upcoming_sleep,
                )
            )


def _error(state: RetryCallState) -> RequestError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, RequestError) else None


def _unknown(what: str) -> RequestError:
    return RequestError(ErrorKind.API_ERROR, f"the API does not know {what}", may_pass=False)
