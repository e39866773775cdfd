"""When a Message Batch is sent: at once when all queries wait, at the API's bounds, never twice."""

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


def waiting(number: int, size: int = 1) -> QueuedRequest:
    """Somebody's first turn."""
    return QueuedRequest(AttemptRef(f"q{number}"), 0, {}, size, "digest", None)


@given(st.integers(1, 20), st.integers(0, 20))
def test_a_wave_goes_out_when_all_wait(queries: int, landing: int) -> None:
    """Neither earlier nor later: the last one to join sends it, or the end of the last that does not."""

    async def run() -> None:
        sent: list[list[QueuedRequest]] = []
        active_queries = ActiveQueryCount(queries + landing)
        room = BatchQueue(active_queries, 600, sent.append)
        for number in range(queries):
            assert sent == []
            room.add(waiting(number))
            await asyncio.sleep(0)
        for _ in range(landing):
            assert sent == []
            active_queries.finish_one()
        assert [len(wave) for wave in sent] == [queries]
        room.close()

    asyncio.run(run())


def test_a_wave_does_not_wait_for_ever_for_who_works() -> None:
    """So many seconds after the last one has joined it goes out by itself; each that joins begins them anew."""

    async def run() -> None:
        clock = asyncio.get_running_loop().time
        sent: list[tuple[float, list[QueuedRequest]]] = []
        room = BatchQueue(ActiveQueryCount(9), 10, lambda wave: sent.append((clock(), wave)))
        some = [waiting(number) for number in range(3)]
        room.add(some[0])
        await asyncio.sleep(9)
        room.add(some[1])
        await asyncio.sleep(30)
        room.add(some[2])
        await asyncio.sleep(30)
        room.close()
        assert sent == [(19, some[:2]), (49, some[2:])]

    virtual_time.run(run())


def test_those_whose_batch_is_out_count_as_waiting() -> None:
    """A late one does not wait for them; when their batch has ended they are at work, and waited for."""

    async def run() -> None:
        sent: list[list[QueuedRequest]] = []
        room = BatchQueue(ActiveQueryCount(2), 600, sent.append)
        first, late = waiting(0), waiting(1)
        room.add(first)
        room.send()
        room.add(late)
        await asyncio.sleep(0)
        assert sent == [[first], [late]]
        room.discard_waiting([first, late])
        room.add(again := waiting(0))
        await asyncio.sleep(0)
        assert len(sent) == 2
        room.add(other := waiting(1))
        await asyncio.sleep(0)
        assert sent[2:] == [[again, other]]
        room.close()

    asyncio.run(run())


def test_those_who_go_on_together_make_one_wave() -> None:
    """The first one to join does not take the others, which are about to, for queries that wait for something else."""

    async def run() -> None:
        sent: list[list[QueuedRequest]] = []
        room, free = BatchQueue(ActiveQueryCount(3), 600, sent.append), asyncio.Event()

        async def one(number: int) -> None:
            room.add_waiting(mine := object())
            await free.wait()
            room.discard_waiting([mine])
            room.add(waiting(number))

        tasks = [asyncio.create_task(one(number)) for number in range(3)]
        await asyncio.sleep(0)
        free.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
        assert [len(wave) for wave in sent] == [3]
        room.close()

    asyncio.run(run())


def test_who_does_not_wait_any_more_is_not_sent() -> None:
    """What was cancelled while it waited is not paid for."""

    async def run() -> None:
        sent: list[list[QueuedRequest]] = []
        room = BatchQueue(ActiveQueryCount(9), 600, sent.append)
        gone, there = waiting(0), waiting(1)
        room.add(gone)
        gone.answer.cancel()
        room.add(there)
        room.send()
        room.send()
        assert sent == [[there]]
        room.close()

    asyncio.run(run())


@given(st.lists(st.integers(1, 10), min_size=1, max_size=40))
def test_no_batch_is_above_the_bounds(sizes: list[int]) -> None:
    """Neither its bytes nor its requests; and each request is in one batch, in order."""

    async def run() -> None:
        sent: list[list[QueuedRequest]] = []
        room = BatchQueue(ActiveQueryCount(len(sizes)), 600, sent.append)
        those = [waiting(number, size) for number, size in enumerate(sizes)]
        for one in those:
            room.add(one)
        await asyncio.sleep(0)
        assert [one for wave in sent for one in wave] == those
        assert all(len(wave) <= 5 and sum(one.size for one in wave) <= 20 for wave in sent)
        room.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_queue, "BATCH_REQUESTS", 5)
        patch.setattr(batch_queue, "BATCH_BYTES", 20)
        asyncio.run(run())


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_no_request_takes_more_than_it_was_measured(body: dict[str, Any]) -> None:
    """As it goes over the wire, with a `custom_id` of the API's 64 characters; digests leave room in it for the rest."""
    digest, size = measure(body)
    sent = json.dumps({"custom_id": "x" * 64, "params": body}, ensure_ascii=False, separators=(",", ":"))
    assert len(sent.encode(errors="surrogatepass")) + len(",") <= size
    assert digest == measure(dict(reversed(body.items())))[0]
    assert len(f"{digest}-{secrets.token_hex(8)}-{99_999}") <= 64


@given(st.floats(-2000, 2000), st.integers(0, 2))
def test_a_lost_batch_is_known_by_time_and_size(seconds: float, size: int) -> None:
    """One that was created while it was sent, as clocks may differ by ten minutes, and holds as many requests."""
    lost = UnconfirmedBatch(datetime(2026, 1, 1, tzinfo=UTC), [{}])
    created = lost.at + timedelta(seconds=seconds)
    assert lost.may_match(created, size, 30) == (size == 1 and -600 <= (created - lost.at).total_seconds() <= 630)
    assert not lost.may_match(created, size, 30) or created >= lost.earliest
