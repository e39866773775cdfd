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


def throttled_error(retry_after: float | None = None) -> RequestError:
    """Return the error of a throttled request."""
    return RequestError(ErrorKind.THROTTLED, "slow down", may_pass=True, retry_after=retry_after, status=429)


def server_error(*, may_pass: bool = True) -> RequestError:
    """Return the error of a failed request."""
    return RequestError(ErrorKind.API_ERROR, "oops", may_pass=may_pass, status=500)


class ScriptedModel:
    """A model that raises or returns its outcomes in order, and records the time of each request."""

    name = "answers"

    def __init__(self, *outcomes: Exception | str, seconds: float = 0.0) -> None:
        self.outcomes = list(outcomes)
        self.seconds = seconds
        self.requested_at: list[float] = []
        self.in_flight = self.max_in_flight = 0

    async def reply(self, request: ModelRequest) -> ModelReply:
        self.requested_at.append(asyncio.get_running_loop().time())
        outcome = self.outcomes.pop(0) if self.outcomes else "ok"
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await asyncio.sleep(self.seconds)
        self.in_flight -= 1
        if isinstance(outcome, Exception):
            raise outcome
        return ModelReply(content=[{"type": "text", "text": outcome}], stop_reason="end_turn", model="answers")


class RetryingClient:
    """A retrying model on virtual time, with its events."""

    def __init__(
        self, model: ScriptedModel, *, retries: int = 5, max_wait: float = 60.0, max_in_flight: int = 8
    ) -> None:
        self.model = model
        self.events: list[Event] = []
        self.throttle = AdaptiveLimiter(max_in_flight)
        self.retrying = RetryingModel(model, self.throttle, retries, max_wait, self.events.append)

    async def send(self, name: str = "q", deadline: Deadline | None = None) -> str:
        """Send one request, and return the text of the reply."""
        request = ModelRequest(
            query=parse_query(name), where=AttemptRef(name), turn=0, messages=[], calls=[], tools=ToolSet(), system=None,
            model=None, max_tokens=1, deadline=deadline or Deadline(10_000),
        )  # fmt: skip
        async with request.deadline:
            return str((await self.retrying.reply(request)).content[0]["text"])

    @property
    def waits(self) -> list[float]:
        """The seconds waited before each retry, from the events."""
        return [event.wait for event in self.events if isinstance(event, Retry)]


def test_retryable_errors_are_retried_until_success() -> None:
    """After one throttled and two failed requests, three waits lead to the reply."""
    retrying = RetryingClient(ScriptedModel(throttled_error(1), server_error(), server_error(), "at last"))
    assert virtual_time.run(retrying.send()) == "at last"
    assert len(retrying.waits) == 3
    assert retrying.waits[0] == 1
    assert retrying.model.requested_at == pytest.approx([0, 1, 1 + retrying.waits[1], 1 + sum(retrying.waits[1:])])


def test_the_last_error_is_raised_after_all_retries() -> None:
    """After `retries` retries, the last error is raised."""
    retrying = RetryingClient(ScriptedModel(*[throttled_error(1)] * 9), retries=3)
    with pytest.raises(RequestError, match="slow down"):
        virtual_time.run(retrying.send())
    assert retrying.model.requested_at == [0, 1, 2, 3]


def test_an_unreachable_api_ends_the_run() -> None:
    """If all attempts of a request cannot connect, the run ends.

    If any request got a response before, only the query fails.
    """
    no_connection = NoConnectionError("refused")
    retrying = RetryingClient(ScriptedModel(*[no_connection] * 3), retries=2)
    with pytest.raises(RunError, match="refused; no request of this run has reached the API"):
        virtual_time.run(retrying.send())
    for errors in ([no_connection], [no_connection, server_error()]):
        retrying = RetryingClient(ScriptedModel(*errors, "ok", *[no_connection] * 3), retries=2)
        assert virtual_time.run(retrying.send()) == "ok"
        with pytest.raises(NoConnectionError):
            virtual_time.run(retrying.send())


@pytest.mark.parametrize("error", [server_error(may_pass=False), QueryError(ErrorKind.NOT_RECORDED, "no")])
def test_other_errors_are_not_retried(error: Exception) -> None:
    """A rejected request, and an error that is not a request's, are not retried."""
    retrying = RetryingClient(ScriptedModel(error))
    with pytest.raises(QueryError):
        virtual_time.run(retrying.send())
    assert (len(retrying.model.requested_at), retrying.waits) == (1, [])


def test_retry_after_is_capped() -> None:
    """A `retry-after` of weeks is capped at `--max-retry-wait`."""
    retrying = RetryingClient(ScriptedModel(throttled_error(4_294_967), "ok"), max_wait=7)
    assert virtual_time.run(retrying.send()) == "ok"
    assert retrying.waits == [7]


@given(st.integers(1, 8), st.floats(0.1, 100), st.sampled_from([server_error(), throttled_error(0)]))
def test_back_off_grows_exponentially_up_to_the_cap(retries: int, cap: float, error: RequestError) -> None:
    """Without `retry-after`, retry N waits at most 0.5 s times two to the N - 1, and never more than the cap."""
    retrying = RetryingClient(ScriptedModel(*[error] * 9), retries=retries, max_wait=cap)
    with pytest.raises(RequestError):
        virtual_time.run(retrying.send())
    assert len(retrying.waits) == retries
    for number, wait in enumerate(retrying.waits):
        assert 0 <= wait <= min(cap, 0.5 * 2**number)


def test_a_throttled_request_pauses_all_requests() -> None:
    """Until the `retry-after` of one request has passed, no other request is sent."""

    async def main() -> None:
        first = asyncio.create_task(retrying.send("first"))
        await asyncio.sleep(1)
        await asyncio.gather(first, retrying.send("second"))

    retrying = RetryingClient(ScriptedModel(throttled_error(30)))
    virtual_time.run(main())
    assert retrying.model.requested_at == [0, 30, 30]


def test_concurrency_halves_when_throttled_and_recovers() -> None:
    """16 requests throttled together halve the limit once. Successful rounds raise it again by one each."""

    async def main() -> None:
        await send_16()
        # Halved to 8; the first 8 successes raised it to 9, the other 8 to just below 10.
        assert (retrying.throttle.limit, model.max_in_flight) == (9, 16)
        model.max_in_flight = 0
        await send_16()
        assert 9 <= model.max_in_flight <= 11
        for _ in range(20):
            await send_16()
        assert retrying.throttle.limit == 16

    async def send_16() -> None:
        await asyncio.gather(*(retrying.send(f"q{number}") for number in range(16)))

    model = ScriptedModel(*[throttled_error(1)] * 16, seconds=1)
    retrying = RetryingClient(model, max_in_flight=16)
    virtual_time.run(main())


def test_back_off_does_not_count_towards_the_query_timeout() -> None:
    """A query with a timeout of 10 s survives minutes of back-off, which its deadline counts as waiting."""

    async def main() -> None:
        deadline = Deadline(10)
        assert await retrying.send(deadline=deadline) == "ok"
        assert deadline.waited == 120

    retrying = RetryingClient(ScriptedModel(throttled_error(60), throttled_error(60), "ok", seconds=3))
    virtual_time.run(main())


def test_requests_count_towards_the_query_timeout() -> None:
    """Three requests of 4 s exceed a query timeout of 10 s, however long the waits between them."""
    retrying = RetryingClient(ScriptedModel(throttled_error(60), throttled_error(60), "ok", seconds=4))
    with pytest.raises(TimeoutError):
        virtual_time.run(retrying.send(deadline=Deadline(10)))
    assert retrying.model.requested_at == [0, 64, 128]


def test_a_throttle_in_another_process_pauses_and_halves() -> None:
    """A throttle in another process pauses requests and halves the limit.

    Another one during the pause only extends it.
    """

    async def main() -> tuple[int, bool, list[float], float]:
        waits: list[float] = []
        limiter = AdaptiveLimiter(16, waits.append)
        limiter.on_remote_throttle(5)
        limiter.on_remote_throttle(9)
        before = limiter.is_open
        await limiter.wait_open()
        limiter.pause(1)
        return limiter.limit, before, waits, asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == (8, False, [1], 9)
