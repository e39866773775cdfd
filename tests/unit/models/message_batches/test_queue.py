"""When a message batch is sent: as soon as all queries wait, within the API's limits, never twice."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.models.message_batches import queue as batch_queue
from mcprun.models.message_batches.queue import ActiveQueryCount, BatchQueue, QueuedRequest, measure
from mcprun.models.message_batches.submitted import UnconfirmedBatch
from mcprun.runs.events import AttemptRef
from tests.support import virtual_time


def make_request(number: int, size: int = 1) -> QueuedRequest:
    """Return a query's first request."""
    return QueuedRequest(AttemptRef(f"q{number}"), 0, {}, size, "digest", None)


@given(st.integers(1, 20), st.integers(0, 20))
def test_a_batch_is_sent_when_all_queries_wait(queries: int, finishing: int) -> None:
    """A batch is sent when the last query joins or the last other query ends, not before."""

    async def main() -> None:
        sent: list[list[QueuedRequest]] = []
        active_queries = ActiveQueryCount(queries + finishing)
        queue = BatchQueue(active_queries, 600, sent.append)
        for number in range(queries):
            assert sent == []
            queue.add(make_request(number))
            await asyncio.sleep(0)
        for _ in range(finishing):
            assert sent == []
            active_queries.finish_one()
        assert [len(batch) for batch in sent] == [queries]
        queue.close()

    asyncio.run(main())


def test_a_batch_is_sent_after_the_maximum_wait() -> None:
    """A batch is sent `max_wait` seconds after the last request has joined, even if other queries are still active."""

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        sent: list[tuple[float, list[QueuedRequest]]] = []
        queue = BatchQueue(ActiveQueryCount(9), 10, lambda batch: sent.append((clock(), batch)))
        requests = [make_request(number) for number in range(3)]
        queue.add(requests[0])
        await asyncio.sleep(9)
        queue.add(requests[1])
        await asyncio.sleep(30)
        queue.add(requests[2])
        await asyncio.sleep(30)
        queue.close()
        assert sent == [(19, requests[:2]), (49, requests[2:])]

    virtual_time.run(main())


def test_queries_of_a_batch_in_flight_count_as_waiting() -> None:
    """A late query does not wait for queries whose batch is in flight. Once that batch has ended, it waits for them."""

    async def main() -> None:
        sent: list[list[QueuedRequest]] = []
        queue = BatchQueue(ActiveQueryCount(2), 600, sent.append)
        first, late = make_request(0), make_request(1)
        queue.add(first)
        queue.send()
        queue.add(late)
        await asyncio.sleep(0)
        assert sent == [[first], [late]]
        queue.discard_waiting([first, late])
        queue.add(next_request := make_request(0))
        await asyncio.sleep(0)
        assert len(sent) == 2
        queue.add(other := make_request(1))
        await asyncio.sleep(0)
        assert sent[2:] == [[next_request, other]]
        queue.close()

    asyncio.run(main())


def test_queries_that_continue_together_join_one_batch() -> None:
    """The first query to join waits for the others that are about to join in the same iteration of the event loop."""

    async def main() -> None:
        sent: list[list[QueuedRequest]] = []
        queue, resume = BatchQueue(ActiveQueryCount(3), 600, sent.append), asyncio.Event()

        async def run_query(number: int) -> None:
            queue.add_waiting(token := object())
            await resume.wait()
            queue.discard_waiting([token])
            queue.add(make_request(number))

        tasks = [asyncio.create_task(run_query(number)) for number in range(3)]
        await asyncio.sleep(0)
        resume.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
        assert [len(batch) for batch in sent] == [3]
        queue.close()

    asyncio.run(main())


def test_cancelled_requests_are_not_sent() -> None:
    """A request that is cancelled in the queue is not sent."""

    async def main() -> None:
        sent: list[list[QueuedRequest]] = []
        queue = BatchQueue(ActiveQueryCount(9), 600, sent.append)
        cancelled, active = make_request(0), make_request(1)
        queue.add(cancelled)
        cancelled.answer.cancel()
        queue.add(active)
        queue.send()
        queue.send()
        assert sent == [[active]]
        queue.close()

    asyncio.run(main())


@given(st.lists(st.integers(1, 10), min_size=1, max_size=40))
def test_no_batch_exceeds_the_limits(sizes: list[int]) -> None:
    """No batch exceeds the limits for bytes and requests. Each request is in one batch, in order."""

    async def main() -> None:
        sent: list[list[QueuedRequest]] = []
        queue = BatchQueue(ActiveQueryCount(len(sizes)), 600, sent.append)
        requests = [make_request(number, size) for number, size in enumerate(sizes)]
        for request in requests:
            queue.add(request)
        await asyncio.sleep(0)
        assert [request for batch in sent for request in batch] == requests
        assert all(len(batch) <= 5 and sum(request.size for request in batch) <= 20 for batch in sent)
        queue.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_queue, "BATCH_REQUESTS", 5)
        patch.setattr(batch_queue, "BATCH_BYTES", 20)
        asyncio.run(main())


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_measured_sizes_are_upper_bounds(body: dict[str, Any]) -> None:
    """A request with a `custom_id` of 64 characters is no larger than measured.

    The digest leaves room for the rest of the id.
    """
    digest, size = measure(body)
    sent = json.dumps({"custom_id": "x" * 64, "params": body}, ensure_ascii=False, separators=(",", ":"))
    assert len(sent.encode(errors="surrogatepass")) + len(",") <= size
    assert digest == measure(dict(reversed(body.items())))[0]
    assert len(f"{digest}-{secrets.token_hex(8)}-{99_999}") <= 64


@given(st.floats(-2000, 2000), st.integers(0, 2))
def test_an_unconfirmed_batch_is_recognised_by_time_and_size(seconds: float, size: int) -> None:
    """A batch matches if it was created around the submission, with 10 min of clock skew, and has as many requests."""
    unconfirmed = UnconfirmedBatch(datetime(2026, 1, 1, tzinfo=UTC), [{}])
    created = unconfirmed.at + timedelta(seconds=seconds)
    assert unconfirmed.may_match(created, size, 30) == (
        size == 1 and -600 <= (created - unconfirmed.at).total_seconds() <= 630
    )
    assert not unconfirmed.may_match(created, size, 30) or created >= unconfirmed.earliest
