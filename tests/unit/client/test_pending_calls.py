"""Pending calls: late responses, and deadlines that pause while the server waits for an answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

import pytest
from mcp_types import ElicitRequestURLParams

from mcprun._util.deadline import Deadline
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.request_owner import ActiveQueries, ClientFeatures, ClientResponse, PendingCall
from mcprun.runs.events import AttemptRef, Event, ServerRequest
from tests.support import virtual_time


class FakeQuery:
    """A query that must not receive a request."""

    def __init__(self, name: str) -> None:
        self.where = AttemptRef(name)

    async def answer(self, *args: Any, **more: Any) -> Any:
        raise AssertionError


def test_abandoned_call_makes_attribution_ambiguous() -> None:
    """A request belongs to the only active query, unless an abandoned call of another query is still unanswered."""
    active_queries, first, other = ActiveQueries(), FakeQuery("one"), FakeQuery("other")
    assert active_queries.attribute().handler is None
    with active_queries.register(first):
        assert active_queries.attribute().handler is first
        with active_queries.register(other):
            assert active_queries.attribute().handler is None
            caller = PendingCall(other, 0, 0, Deadline(1))
            with active_queries.calling(caller):
                assert (
                    active_queries.attribute().handler,
                    active_queries.attribute().caller,
                    active_queries.attribute().is_sure,
                ) == (other, caller, True)
                active_queries.mark_abandoned(7)
                active_queries.mark_abandoned(8)
            assert active_queries.attribute().handler is None
        assert active_queries.attribute().handler is None  # it may belong to `other`, which has ended
        active_queries.mark_answered(7)
        assert (active_queries.attribute().handler, active_queries.has_abandoned(first.where)) == (None, True)
    with active_queries.register(other):
        assert (active_queries.attribute().handler, active_queries.has_abandoned(other.where)) == (other, False)
    with active_queries.register(first):
        active_queries.mark_answered(8)
        assert (active_queries.attribute().handler, active_queries.has_abandoned(first.where)) == (first, False)
        with active_queries.calling(PendingCall(other, 0, 0, Deadline(1))):
            active_queries.mark_abandoned(9)
        active_queries.forget_session()
        assert active_queries.attribute().handler is first


def test_wait_for_late_responses_is_bounded() -> None:
    """The wait ends when the server answers the abandoned calls, or after the time limit."""

    async def main() -> tuple[bool, bool, float]:
        active_queries, first, other = ActiveQueries(), FakeQuery("one"), FakeQuery("other")
        with active_queries.register(other), active_queries.calling(PendingCall(other, 0, 0, Deadline(1))):
            active_queries.mark_abandoned(7)
            active_queries.mark_abandoned("8")
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, active_queries.mark_answered, 7)
        loop.call_later(0.2, active_queries.mark_answered, "8")
        is_left = await active_queries.wait_for_abandoned(first.where, 1)
        with active_queries.register(other), active_queries.calling(PendingCall(other, 0, 0, Deadline(1))):
            active_queries.mark_abandoned(9)
        return is_left, await active_queries.wait_for_abandoned(first.where, 1), loop.time()

    assert virtual_time.run(main()) == (False, True, 1.2)


class SlowQuery(FakeQuery):
    """A query that answers after 50 seconds."""

    async def answer(self, *args: Any, **more: Any) -> ClientResponse:
        await asyncio.sleep(50)
        return ClientResponse(result={"action": "cancel"})


def test_deadline_pauses_while_the_server_waits_for_an_answer() -> None:
    """The 50 seconds for the answer do not count. A query that has ended answers no further request."""

    async def main() -> tuple[float, str | None]:
        received: list[Event] = []
        callbacks, slow = ClientCallbacks(1, ClientFeatures(), received.append, str, Counter()), SlowQuery("q")
        params = ElicitRequestURLParams(message="?", url="https://a.example")
        caller = PendingCall(slow, 0, 0, Deadline(10))
        with callbacks.active_queries.register(slow), callbacks.active_queries.calling(caller):
            async with caller.clock:
                await callbacks.elicit(cast("Any", None), params)
        with callbacks.active_queries.register(slow):
            late = asyncio.create_task(callbacks.elicit(cast("Any", None), params))
            await asyncio.sleep(1)
        await late
        assert isinstance(received[-1], ServerRequest)
        return caller.clock.waited, received[-1].reason

    assert virtual_time.run(main()) == (50, "the query ended first")


def test_overlapping_pauses_count_once() -> None:
    """A pause that ends after the deadline has no effect."""

    async def main() -> tuple[float, float]:
        async with Deadline(10) as clock:
            with clock.pause():
                await asyncio.sleep(50)
                with clock.pause():
                    await asyncio.sleep(50)
            await asyncio.sleep(9)
        expired = Deadline(10)
        with pytest.raises(TimeoutError):
            async with expired:
                await asyncio.sleep(11)
        with expired.pause():
            pass
        return clock.waited, asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == (100, 119)
