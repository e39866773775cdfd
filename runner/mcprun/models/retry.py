"""The only retry layer: it retries model requests and nothing else, so it never repeats a tool call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from mcprun.errors import ErrorKind, NoConnectionError, RequestError, RunError
from mcprun.models.base import Model, ModelReply, ModelRequest
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.runs.events import Emit, Retry

_FIRST_SECONDS = 0.5
"""The upper bound of the first back-off. It doubles: 0.5, 1, 2, 4 … s, and each wait is drawn at random below it."""


@dataclass(frozen=True, slots=True)
class RetryingModel:
    """A model that retries a request up to `retries` times if the error may pass.

    It waits as long as the API asks, or else backs off exponentially with full jitter, and never longer than `max_wait`
    seconds. One throttled request pauses all. Waiting does not count against the query's deadline.
    """

    model: Model
    throttle: AdaptiveLimiter
    retries: int
    max_wait: float
    emit: Emit

    @property
    def name(self) -> str:
        """The name of the wrapped model."""
        return self.model.name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Return the next turn. Raises the error of the last try.

        If no request of the run has reached the API, the error is a `RunError`: every other query would fail too.
        """
        try:
            try:
                return await self._reply_once(request)
            except RequestError as error:
                return await self._retry(request, error)
        except NoConnectionError as error:
            if self.throttle.is_reached:
                raise
            raise RunError(error.kind, f"{error}; no request of this run has reached the API") from None

    async def _retry(self, request: ModelRequest, error: RequestError) -> ModelReply:
        """Retry a request whose first attempt failed with `error`. Requests that succeed at once thus cost less."""
        first_error = iter([error])

        async def attempt() -> ModelReply:
            for failed in first_error:
                raise failed
            return await self._reply_once(request)

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.retries + 1),
            retry=retry_if_exception(lambda error: isinstance(error, RequestError) and error.may_pass),
            wait=self._wait,
            before_sleep=lambda state: self._before_sleep(request, state),
            sleep=self._sleeping(request),
            reraise=True,
        )
        return await retrying(attempt)

    async def _reply_once(self, request: ModelRequest) -> ModelReply:
        if not self.throttle.is_open:
            with request.deadline.pause():
                await self.throttle.wait_open()
        async with self.throttle.request():
            try:
                return await self.model.reply(request)
            except RequestError as error:
                if error.kind is ErrorKind.THROTTLED and error.retry_after:  # even after the last try
                    self.throttle.pause(min(error.retry_after, self.max_wait))
                raise

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds before the next request: what the API asks for, else a back-off with full jitter."""
        if retry_after := _error(state).retry_after:
            return min(retry_after, self.max_wait)
        return float(wait_random_exponential(multiplier=_FIRST_SECONDS, max=self.max_wait)(state))

    def _before_sleep(self, request: ModelRequest, state: RetryCallState) -> None:
        """Emit a `Retry` event, and pause all requests if the API is throttling."""
        error, wait = _error(state), state.upcoming_sleep
        if error.kind is ErrorKind.THROTTLED:
            self.throttle.pause(wait)
        self.emit(
            Retry(
                where=request.where,
                turn=request.turn,
                tried=state.attempt_number,
                error=f"{error.kind}: {error}",
                status=error.status,
                request_id=error.request_id,
                wait=wait,
            )
        )

    def _sleeping(self, request: ModelRequest) -> Callable[[float], Awaitable[None]]:
        async def sleep(seconds: float) -> None:
            with request.deadline.pause():
                await asyncio.sleep(seconds)

        return sleep


def _error(state: RetryCallState) -> RequestError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, RequestError)  # noqa: S101  no other error is retried
    return error
