"""The one retry layer: around a model request, and nothing else. A tool is never run twice because of it."""

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
"""The exponential back-off begins with up to so much, and doubles: 0.5, 1, 2, 4 … each drawn at random below it."""


@dataclass(frozen=True, slots=True)
class RetryingModel:
    """A model that asks another one again, up to `retries` times, when its answer may be better next time.

    Wait for the time that the API asks for. Without one, back off exponentially with full jitter. Never wait longer
    than `max_wait` seconds. One throttled request pauses all. Waiting does not count against the query's deadline.
    """

    model: Model
    throttle: AdaptiveLimiter
    retries: int
    max_wait: float
    emit: Emit

    @property
    def name(self) -> str:
        """The name of the model within."""
        return self.model.name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Give the next turn; raises what the last try raised.

        When no request of the run has come to the API, that is a `RunError`: every other query would meet the same.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.retries + 1),
            retry=retry_if_exception(lambda error: isinstance(error, RequestError) and error.may_pass),
            wait=self._wait,
            before_sleep=lambda state: self._told(request, state),
            sleep=self._sleeping(request),
            reraise=True,
        )
        try:
            return await retrying(self._once, request)
        except NoConnectionError as error:
            if self.throttle.is_reached:
                raise
            raise RunError(error.kind, f"{error}; no request of this run has reached it") from None

    async def _once(self, request: ModelRequest) -> ModelReply:
        if not self.throttle.is_open:
            with request.deadline.paused():
                await self.throttle.opened()
        async with self.throttle.request():
            try:
                return await self.model.reply(request)
            except RequestError as error:
                if error.kind is ErrorKind.THROTTLED and error.retry_after:  # also when this was the last try
                    self.throttle.pause(min(error.retry_after, self.max_wait))
                raise

    def _wait(self, state: RetryCallState) -> float:
        """Return the seconds before the next request: those that the API asks for, else a back-off with full jitter."""
        if asked := _error(state).retry_after:
            return min(asked, self.max_wait)
        return float(wait_random_exponential(multiplier=_FIRST_SECONDS, max=self.max_wait)(state))

    def _told(self, request: ModelRequest, state: RetryCallState) -> None:
        """Tell of a try that failed and is made again, and quiet everybody when the API asked for it."""
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
            with request.deadline.paused():
                await asyncio.sleep(seconds)

        return sleep


def _error(state: RetryCallState) -> RequestError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, RequestError)  # noqa: S101  nothing else is tried again
    return error
