"""How many model requests may be in flight, and when: what one query learns of the rate limit, all obey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcprun.errors import ErrorKind, NoConnectionError, RequestError

_CUT = 0.5
"""What is left of the limit when the API throttles: multiplicative down."""


class AdaptiveLimiter:
    """Lets at most `most` requests be in flight; fewer once the API throttles, and slowly more again.

    Additive up, multiplicative down, as TCP does it: a whole round of good answers adds one request, and a
    throttled one halves them, once a round, since the requests that were sent together are refused together.
    The limit is never less than `least`. It `is_reached` once any request came to the API, whatever became of it.

    `tell` is called with the seconds of each pause: where requests are sent from other processes as well, theirs must
    `obey` it.
    """

    def __init__(self, most: int, tell: Callable[[float], None] = lambda _: None, *, least: int = 1) -> None:
        self.is_reached = False
        self._most, self._least = most, least
        self._tell = tell
        self._limit = float(most)
        self._in_flight = 0
        self._round = 0
        self._resume_at = 0.0
        self._changed = asyncio.Condition()

    @property
    def limit(self) -> int:
        """How many requests may be in flight now."""
        return max(1, int(self._limit))

    def pause(self, seconds: float) -> None:
        """Let nobody send before so many seconds have passed."""
        self._wait(seconds)
        self._tell(seconds)

    def obey(self, seconds: float) -> None:
        """Do as if a request had been throttled here, since one was in another process; a pause halves but once."""
        if self._left <= 0:
            self._cut()
        self._wait(seconds)

    @property
    def is_open(self) -> bool:
        """Whether a request could be sent at once."""
        return self._left <= 0 and self._in_flight < self.limit

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Hold a place for one request, and learn from how it ends. The place must be free: see `opened`."""
        self._in_flight += 1
        round_ = self._round
        try:
            yield
        except RequestError as error:
            self.is_reached |= not isinstance(error, NoConnectionError)
            if error.kind is ErrorKind.THROTTLED and round_ == self._round:
                self._cut()
            raise
        else:
            self.is_reached = True
            self._limit = min(self._most, self._limit + 1 / self._limit)
        finally:
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()

    async def opened(self) -> None:
        """Wait until a request may be sent."""
        while not self.is_open:
            if self._left > 0:
                await asyncio.sleep(self._left)
                continue
            async with self._changed:
                await self._changed.wait()

    def _cut(self) -> None:
        self._round += 1
        self._limit = max(self._least, self._limit * _CUT)

    def _wait(self, seconds: float) -> None:
        self._resume_at = max(self._resume_at, asyncio.get_running_loop().time() + seconds)

    @property
    def _left(self) -> float:
        return self._resume_at - asyncio.get_running_loop().time()
