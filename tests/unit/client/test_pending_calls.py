"""Pending calls: late answers, and the clock that stands still while a server waits for an answer."""

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


class Someone:
    """A query that answers nothing."""

    def __init__(self, name: str) -> None:
        self.where = AttemptRef(name)

    async def answer(self, *args: Any, **more: Any) -> Any:
        raise AssertionError


def test_a_call_that_was_given_up_may_still_ask() -> None:
    """A query that is alone with a server is asked, unless another one's call was given up and not answered since."""
    active_queries, one, other = ActiveQueries(), Someone("one"), Someone("other")
    assert active_queries.attribute().handler is None
    with active_queries.register(one):
        assert active_queries.attribute().handler is one
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
        assert active_queries.attribute().handler is None  # it may be the other's, who is gone
        active_queries.mark_answered(7)
        assert (active_queries.attribute().handler, active_queries.has_abandoned(one.where)) == (None, True)
    with active_queries.register(other):
        assert (active_queries.attribute().handler, active_queries.has_abandoned(other.where)) == (other, False)
    with active_queries.register(one):
        active_queries.mark_answered(8)
        assert (active_queries.attribute().handler, active_queries.has_abandoned(one.where)) == (one, False)
        with active_queries.calling(PendingCall(other, 0, 0, Deadline(1))):
            active_queries.mark_abandoned(9)
        active_queries.forget_session()
        assert active_queries.attribute().handler is one


def test_late_answers_are_waited_for_briefly() -> None:
    """A server that answers what was cancelled is done with it; one that does not is waited for no longer."""

    async def main() -> tuple[bool, bool, float]:
        active_queries, one, other = ActiveQueries(), Someone("one"), Someone("other")
        with active_queries.register(other), active_queries.calling(PendingCall(other, 0, 0, Deadline(1))):
            active_queries.mark_abandoned(7)
            active_queries.mark_abandoned("8")
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, active_queries.mark_answered, 7)
        loop.call_later(0.2, active_queries.mark_answered, "8")
        is_left = await active_queries.wait_for_abandoned(one.where, 1)
        with active_queries.register(other), active_queries.calling(PendingCall(other, 0, 0, Deadline(1))):
            active_queries.mark_abandoned(9)
        return is_left, await active_queries.wait_for_abandoned(one.where, 1), loop.time()

    assert virtual_time.run(main()) == (False, True, 1.2)


class Slow(Someone):
    """A query whose model takes fifty seconds."""

    async def answer(self, *args: Any, **more: Any) -> ClientResponse:
        await asyncio.sleep(50)
        return ClientResponse(result={"action": "cancel"})


def test_a_calls_clock_stands_still_while_its_server_waits() -> None:
    """What takes its time is the answer, and not the server; and who is gone answers nothing more."""

    async def main() -> tuple[float, str | None]:
        received: list[Event] = []
        callbacks, slow = ClientCallbacks(1, ClientFeatures(), received.append, str, Counter()), Slow("q")
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


def test_pauses_overlap_and_outlast() -> None:
    """Their time counts once, and a pause that ends when all is over changes nothing."""

    async def main() -> tuple[float, float]:
        async with Deadline(10) as clock:
            with clock.pause():
                await asyncio.sleep(50)
                with clock.pause():
                    await asyncio.sleep(50)
            await asyncio.sleep(9)
        over = Deadline(10)
        with pytest.raises(TimeoutError):
            async with over:
                await asyncio.sleep(11)
        with over.pause():
            pass
        return clock.waited, asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == (100, 119)
