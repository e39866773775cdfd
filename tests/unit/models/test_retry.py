"""Retries and the shared rate limit, on virtual time."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.deadline import Deadline
from mcprun.errors import ErrorKind, NoConnectionError, QueryError, RequestError, RunError
from mcprun.models.base import ModelReply, ModelRequest
from mcprun.models.rate_limit import AdaptiveLimiter
from mcprun.models.retry import RetryingModel
from mcprun.prompts.query import parse_query
from mcprun.runs.events import AttemptRef, Event, Retry
from mcprun.tools.toolset import ToolSet
from tests.support import virtual_time


def throttled(retry_after: float | None = None) -> RequestError:
    """Make what a throttled request raises."""
    return RequestError(ErrorKind.THROTTLED, "slow down", may_pass=True, retry_after=retry_after, status=429)


def failed(*, may_pass: bool = True) -> RequestError:
    """Make what a failed request raises."""
    return RequestError(ErrorKind.API_ERROR, "oops", may_pass=may_pass, status=500)


class Answers:
    """A model that raises or answers as it is told, and notes when it was asked."""

    name = "answers"

    def __init__(self, *outcomes: Exception | str, seconds: float = 0.0) -> None:
        self.outcomes = list(outcomes)
        self.seconds = seconds
        self.asked: list[float] = []
        self.at_once = self.most_at_once = 0

    async def reply(self, request: ModelRequest) -> ModelReply:
        self.asked.append(asyncio.get_running_loop().time())
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        if isinstance(outcome, Exception):
            raise outcome
        return ModelReply(content=[{"type": "text", "text": outcome}], stop_reason="end_turn", model="answers")


class Asked:
    """A retrying model on virtual time, and what came of asking it."""

    def __init__(self, model: Answers, *, retries: int = 5, max_wait: float = 60.0, max_in_flight: int = 8) -> None:
        self.model = model
        self.events: list[Event] = []
        self.throttle = AdaptiveLimiter(max_in_flight)
        self.retrying = RetryingModel(model, self.throttle, retries, max_wait, self.events.append)

    async def ask(self, name: str = "q", deadline: Deadline | None = None) -> str:
        """Ask once, and give the words of the reply."""
        request = ModelRequest(
            query=parse_query(name), where=AttemptRef(name), turn=0, messages=[], calls=[], tools=ToolSet(), system=None,
            model=None, max_tokens=1, deadline=deadline or Deadline(10_000),
        )  # fmt: skip
        async with request.deadline:
            return str((await self.retrying.reply(request)).content[0]["text"])

    @property
    def waits(self) -> list[float]:
        """How long was waited before each further try, as the trace tells it."""
        return [event.wait for event in self.events if isinstance(event, Retry)]


def test_what_may_pass_is_tried_again_until_it_does() -> None:
    """Throttled, failed, failed, answered: three waits, and the reply."""
    asked = Asked(Answers(throttled(1), failed(), failed(), "at last"))
    assert virtual_time.run(asked.ask()) == "at last"
    assert len(asked.waits) == 3
    assert asked.waits[0] == 1
    assert asked.model.asked == pytest.approx([0, 1, 1 + asked.waits[1], 1 + sum(asked.waits[1:])])


def test_the_last_error_is_raised_when_the_tries_are_used_up() -> None:
    """`retries` further tries are made, and no more."""
    asked = Asked(Answers(*[throttled(1)] * 9), retries=3)
    with pytest.raises(RequestError, match="slow down"):
        virtual_time.run(asked.ask())
    assert asked.model.asked == [0, 1, 2, 3]


def test_what_no_request_reaches_ends_the_run() -> None:
    """When all tries of a request met nobody, every other would; but for one that was answered before, in any way."""
    gone = NoConnectionError("refused")
    asked = Asked(Answers(*[gone] * 3), retries=2)
    with pytest.raises(RunError, match="refused; no request of this run has reached the API"):
        virtual_time.run(asked.ask())
    for trouble in ([gone], [gone, failed()]):
        asked = Asked(Answers(*trouble, "ok", *[gone] * 3), retries=2)
        assert virtual_time.run(asked.ask()) == "ok"
        with pytest.raises(NoConnectionError):
            virtual_time.run(asked.ask())


@pytest.mark.parametrize("error", [failed(may_pass=False), QueryError(ErrorKind.NOT_RECORDED, "no")])
def test_what_can_not_pass_is_not_tried_again(error: Exception) -> None:
    """A refused request, and what is no request at all, is asked once."""
    asked = Asked(Answers(error))
    with pytest.raises(QueryError):
        virtual_time.run(asked.ask())
    assert (len(asked.model.asked), asked.waits) == (1, [])


def test_no_wait_is_above_the_cap() -> None:
    """An API that asks for weeks is asked again after `--max-retry-wait`."""
    asked = Asked(Answers(throttled(4_294_967), "ok"), max_wait=7)
    assert virtual_time.run(asked.ask()) == "ok"
    assert asked.waits == [7]


@given(st.integers(1, 8), st.floats(0.1, 100), st.sampled_from([failed(), throttled(0)]))
def test_back_off_grows_within_its_bounds(retries: int, cap: float, error: RequestError) -> None:
    """If the API asks for no wait, retry N waits at most half a second times two to the N - 1, and never above the cap."""
    asked = Asked(Answers(*[error] * 9), retries=retries, max_wait=cap)
    with pytest.raises(RequestError):
        virtual_time.run(asked.ask())
    assert len(asked.waits) == retries
    for number, wait in enumerate(asked.waits):
        assert 0 <= wait <= min(cap, 0.5 * 2**number)


def test_one_throttled_request_quiets_all() -> None:
    """Nobody sends before the pause is over that the API asked of one."""

    async def both() -> None:
        first = asyncio.create_task(asked.ask("first"))
        await asyncio.sleep(1)
        await asyncio.gather(first, asked.ask("second"))

    asked = Asked(Answers(throttled(30)))
    virtual_time.run(both())
    assert asked.model.asked == [0, 30, 30]


def test_concurrency_falls_when_throttled_and_recovers() -> None:
    """Sixteen that are refused together halve the limit once; good answers raise it again, one a round."""

    async def main() -> None:
        await sixteen()
        # Halved to 8 once; the first 8 good answers made it 9, the other 8 not quite 10.
        assert (asked.throttle.limit, model.most_at_once) == (9, 16)
        model.most_at_once = 0
        await sixteen()
        assert 9 <= model.most_at_once <= 11
        for _ in range(20):
            await sixteen()
        assert asked.throttle.limit == 16

    async def sixteen() -> None:
        await asyncio.gather(*(asked.ask(f"q{number}") for number in range(16)))

    model = Answers(*[throttled(1)] * 16, seconds=1)
    asked = Asked(model, max_in_flight=16)
    virtual_time.run(main())


def test_waiting_does_not_count_against_the_query() -> None:
    """A query of ten seconds outlives minutes of back-off, and its waiting is counted apart."""

    async def main() -> None:
        deadline = Deadline(10)
        assert await asked.ask(deadline=deadline) == "ok"
        assert deadline.waited == 120

    asked = Asked(Answers(throttled(60), throttled(60), "ok", seconds=3))
    virtual_time.run(main())


def test_working_does_count() -> None:
    """Three tries of four seconds are too much for a query of ten, however long is waited in between."""
    asked = Asked(Answers(throttled(60), throttled(60), "ok", seconds=4))
    with pytest.raises(TimeoutError):
        virtual_time.run(asked.ask(deadline=Deadline(10)))
    assert asked.model.asked == [0, 64, 128]


def test_a_throttle_obeys_another_one() -> None:
    """It waits, and lets half as many through; what the other says again during the pause only makes it longer."""

    async def obeyed() -> tuple[int, bool, list[float], float]:
        waits: list[float] = []
        throttle = AdaptiveLimiter(16, waits.append)
        throttle.on_remote_throttle(5)
        throttle.on_remote_throttle(9)
        before = throttle.is_open
        await throttle.wait_open()
        throttle.pause(1)
        return throttle.limit, before, waits, asyncio.get_running_loop().time()

    assert virtual_time.run(obeyed()) == (8, False, [1], 9)
