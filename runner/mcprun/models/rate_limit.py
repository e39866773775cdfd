"""Limit the model requests in flight. What one query learns of the rate limit applies to all queries of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcprun.errors import ErrorKind, NoConnectionError, RequestError

_CUT = 0.5
"""The factor that the limit is multiplied by when the API throttles (multiplicative decrease)."""


class AdaptiveLimiter:
    """Allows at most `max_in_flight` requests in flight: fewer once the API throttles, and slowly more again.

    Additive increase, multiplicative decrease, as in TCP: a whole round of successful requests adds one to the limit. A
    throttled request halves it, once per round, since requests that were sent together are refused together. The limit
    is never less than `least`. `is_reached` is set once any request has reached the API, whatever its outcome.

    `on_pause` is called with the seconds of each pause. If other processes send requests as well, call
    `on_remote_throttle` of their limiters.
    """

    def __init__(
        self, max_in_flight: int, on_pause: Callable[[float], None] = lambda _: None, *, least: int = 1
    ) -> None:
        self.is_reached = False
        self._max_in_flight, self._least = max_in_flight, least
        self._on_pause = on_pause
        self._limit = float(max_in_flight)
        self._in_flight = 0
        self._round = 0
        self._resume_at = 0.0
        self._changed = asyncio.Condition()

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now."""
        return max(1, int(self._limit))

    def pause(self, pause_seconds: float) -> None:
        """Pause all requests for this many seconds."""
        self._wait(pause_seconds)
        self._on_pause(pause_seconds)

    def on_remote_throttle(self, pause_seconds: float) -> None:
        """Pause because another process was throttled, as if this one had been. A pause halves the limit once."""
        if self._pause_left <= 0:
            self._decrease()
        self._wait(pause_seconds)

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent now."""
        return self._pause_left <= 0 and self._in_flight < self.limit

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Count a request as in flight, and adapt the limit to its outcome. The limit must allow it (`wait_open`)."""
        self._in_flight += 1
        round_ = self._round
        try:
            yield
        except RequestError as error:
            self.is_reached |= not isinstance(error, NoConnectionError)
            if error.kind is ErrorKind.THROTTLED and round_ == self._round:
                self._decrease()
            raise
        else:
            self.is_reached = True
            self._limit = min(self._max_in_flight, self._limit + 1 / self._limit)
        finally:
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()

    async def wait_open(self) -> None:
        """Wait until a request may be sent."""
        while not self.is_open:
            if self._pause_left > 0:
                await asyncio.sleep(self._pause_left)
                continue
            async with self._changed:
                await self._changed.wait()

    def _decrease(self) -> None:
        self._round += 1
        self._limit = max(self._least, self._limit * _CUT)

    def _wait(self, seconds: float) -> None:
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + seconds)

    @property
    def _pause_left(self) -> float:
        return self._resume_at - asyncio.get_running_loop().time()
