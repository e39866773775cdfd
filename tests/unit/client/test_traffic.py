"""Messages between a transport and the SDK's session: matched, paced, never waited for in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.shared.message import SessionMessage
from mcp_types import (
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from mcprun.client.traffic import Traffic, TrafficObserver
from tests.support import virtual_time
from tests.support.lines import Line


def request(number: int | str, method: str = "tools/call") -> JSONRPCRequest:
    """Make a request."""
    return JSONRPCRequest(jsonrpc="2.0", id=number, method=method)


def result(number: Any, **more: Any) -> JSONRPCResponse:
    """Make a result, also with an id that it may not have."""
    return JSONRPCResponse.model_construct(None, jsonrpc="2.0", id=number, result=more)


def error(number: int | str | None) -> JSONRPCError:
    """Make an error."""
    return JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=1, message="no"))


def cancelled(number: int | str) -> JSONRPCNotification:
    """Make the notification that a request was given up."""
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params={"requestId": number})


class Reports:
    """What the traffic tells of."""

    def __init__(self) -> None:
        self.strays: list[tuple[str, bool]] = []
        self.sent: list[str] = []
        self.unprobed: list[float] = []

    def traffic(self, probe_s: float | None = None) -> Traffic:
        """Make the traffic of a connection."""
        observer = TrafficObserver(
            sending=self.sent.append,
            unprobed=self.unprobed.append,
            stray=lambda *case: self.strays.append(case),
        )
        return Traffic(1000, probe_s, observer)


@pytest.mark.parametrize(
    ("sent", "answer", "arrives"),
    [
        ([request(1)], error(None), 1),
        ([request(1)], error("x"), 1),
        ([request(1)], error("1"), 1),
        ([request(1), cancelled(1)], error(1), 1),  # late: the SDK drops it
        ([request(1), request("listen-0", "subscriptions/listen")], error(None), 1),
        ([request(1), request(2)], error(None), None),
        ([request(1), cancelled(1), request(2)], error(None), None),
        ([request(1)], error(7), None),  # of the right type, and of no request
        ([], error(None), None),
        ([request("listen-0", "subscriptions/listen")], error(None), None),
    ],
)
def test_an_answer_is_for_the_only_request_that_it_can_be_for(
    sent: list[JSONRPCMessage], answer: JSONRPCError, arrives: int | str | None
) -> None:
    """It arrives with the id of that; where it may be for several, or for none, it is told of."""
    reports = Reports()
    traffic = reports.traffic()
    for message in sent:
        traffic.begin(message)
    item = traffic.match_incoming(SessionMessage(answer))
    assert (item.message.id if isinstance(item, SessionMessage) else None) == arrives  # type: ignore[union-attr]
    assert len(reports.strays) == (arrives is None)


def test_a_request_that_was_answered_is_no_candidate() -> None:
    """Of two requests, the one that is left is meant."""
    reports = Reports()
    traffic = reports.traffic()
    traffic.begin(request(1))
    traffic.begin(request(2))
    traffic.match_incoming(SessionMessage(result(1)))
    item = traffic.match_incoming(SessionMessage(result(None, a=1)))
    assert isinstance(item, SessionMessage)
    assert item.message == result(2, a=1)
    assert reports.strays == [('a result without an id while one request was pending: {"a": 1}', True)]


async def test_a_request_that_could_not_be_sent_waits_for_nothing() -> None:
    """Neither does the probe: another answer is not for it, and its time limit is not to blame."""
    reports = Reports()
    traffic = reports.traffic(1.0)
    traffic.begin(request(1, "server/discover"))
    traffic.forget(request(1, "server/discover"))
    traffic.begin(request(2, "initialize"))
    item = traffic.match_incoming(SessionMessage(error(None)))
    assert isinstance(item, SessionMessage)
    assert item.message == error(2)
    assert (traffic.no_probe(), reports.unprobed) == (None, [])


def test_the_last_message_of_the_server_is_known_if_it_is_an_error() -> None:
    """So that nothing that the server said is taken for the end of the connection."""
    traffic = Reports().traffic()
    traffic.begin(request(1))
    traffic.match_incoming(SessionMessage(error(1)))
    assert traffic.last_error == ErrorData(code=1, message="no")
    traffic.match_incoming(SessionMessage(cancelled("a")))
    assert traffic.last_error is None


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ('{"jsonrpc": "2.0", "id": 1, "error": "full"}', "full"),
        ('{"jsonrpc": "2.0", "id": null, "error": "full"}', "full"),
        ('{"jsonrpc": "2.0", "id": 1, "error": {"mess', "the answer can't be read: Invalid JSON"),
        ('{"jsonrpc": "2.0", "id": 1, "result": []}', "the answer can't be read: its result is not an object"),
        ('{"jsonrpc": "2.0", "method": 7}', None),
    ],
)
def test_what_the_sdk_can_not_read_of_an_event_stream_is_read(sent: str, arrives: str | None) -> None:
    """Its SSE transport hands on the error in place of the message; what answers nothing is told of."""
    reports = Reports()
    traffic = reports.traffic()
    traffic.begin(request(1))
    with pytest.raises(ValidationError) as caught:
        jsonrpc_message_adapter.validate_json(sent, by_name=False)
    item = traffic.match_incoming(caught.value)
    assert (item is None) == (arrives is None) == bool(reports.strays)
    if arrives and isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCError):
        assert item.message.id == 1
        assert item.message.error.message.startswith(arrives)


INITIALIZED = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}

DISCOVERED = {
    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}, "serverInfo": {"name": "s", "version": "1"},
    "ttlMs": 0, "cacheScope": "private",
}  # fmt: skip


def connected(reports: Reports, probe_s: float, server: Coroutine[Any, Any, None], line: Line) -> tuple[str, float]:
    """Connect to a server on virtual time; give the protocol that was agreed on, and the seconds that it took."""

    async def main() -> tuple[str, float]:
        serving = asyncio.create_task(server)
        loop = asyncio.get_running_loop()
        async with Client(reports.traffic(probe_s).wrap(line.open(), lambda: None), mode="auto", cache=None) as client:
            took = loop.time()
            await serving
            line.to_client.close()
            return client.protocol_version, took

    return virtual_time.run(main())


def test_a_probe_that_is_not_answered_has_a_limit_of_its_own() -> None:
    """Then the older handshake is sent; an answer to the probe that comes late after all confuses nobody."""
    reports, line = Reports(), Line()

    async def server() -> None:
        probe, initialize = await line.receive(), await line.receive()
        line.say(result(probe.id, **DISCOVERED))
        line.say(result(initialize.id, **INITIALIZED))

    assert connected(reports, 2, server(), line) == ("2025-11-25", 2)
    assert (reports.unprobed, reports.strays) == ([2], [])
    assert reports.sent == ["server/discover", "initialize"]


def test_a_probe_that_is_answered_in_time_is_used() -> None:
    """Other messages may come before, and no time limit is left."""
    reports, line = Reports(), Line()

    async def server() -> None:
        probe = await line.receive()
        line.say(
            JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"level": "info", "data": 1})
        )
        await asyncio.sleep(1.5)
        line.say(result(probe.id, **DISCOVERED))
        await asyncio.sleep(20)

    assert connected(reports, 2, server(), line) == ("2026-07-28", 1.5)
    assert reports.unprobed == []


def test_an_error_without_an_id_answers_the_probe() -> None:
    """And then `initialize`, which is the only request that waits by then."""
    reports, line = Reports(), Line()

    async def server() -> None:
        await line.receive()
        line.say(error(None))
        await line.receive()
        line.say(result("?", **INITIALIZED))

    assert connected(reports, 2, server(), line) == ("2025-11-25", 0)
    assert reports.unprobed == []


async def test_a_flood_leaves_time_for_others() -> None:
    """However much is there to be taken, other tasks get their turns in between."""
    line, turns, taken = Line(), 0, 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(other())
    for _ in range(6400):
        line.say(JSONRPCNotification(jsonrpc="2.0", method="notifications/progress"))
    line.to_client.close()
    async with Reports().traffic().wrap(line.open(), lambda: None) as (read, _), read:
        taken = len([message async for message in read])
    counting.cancel()
    assert taken == 6400
    assert turns >= 200


async def test_a_server_that_asks_without_end_is_read_no_further() -> None:
    """So many of its requests are handed on at once, and more when some were answered or withdrawn."""
    line = Line()
    for number in range(2000):
        line.say(request(number, "ping"))
    async with Reports().traffic().wrap(line.open(), lambda: None) as (read, write), read, write:
        taken: list[Any] = []

        async def settle() -> int:
            for _ in range(2000):
                await asyncio.sleep(0)
            return len(taken)

        taking = asyncio.create_task(_collect(read, taken))
        assert await settle() == 500
        for number in range(100):
            await write.send(SessionMessage(result(number)))
        assert await settle() == 600
        taking.cancel()


async def _collect(read: Any, taken: list[Any]) -> None:
    async for message in read:
        taken.append(message)  # noqa: PERF401  what was taken so far is looked at meanwhile


def test_a_cancellation_that_is_held_up_holds_nobody_up() -> None:
    """A server that reads nothing may be given up all the same; what was not sent by the end is dropped."""

    class Full:
        """The writing end of a transport that nobody reads."""

        async def send(self, item: SessionMessage) -> None:
            await asyncio.Event().wait()

        async def __aenter__(self) -> None:
            return

        async def __aexit__(self, *error: object) -> None:
            return

    @asynccontextmanager
    async def open_full() -> AsyncIterator[tuple[Any, Any]]:
        yield None, Full()

    async def main() -> float:
        async with Reports().traffic().wrap(open_full(), lambda: None) as (_, write), write:
            await write.send(SessionMessage(cancelled(1)))
            return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == 0.25


@pytest.mark.parametrize(("steps", "took"), [([1, 2, 3], [1.0, 2.0, 3.0]), ([1, 1, 0, 2], [1.0, 2.0])])
def test_a_list_of_tools_reports_progress(steps: list[float], took: list[float]) -> None:
    """It has a token of its own, since the SDK's client gives it none; what increases is told."""
    line, progressed = Line(), list[float]()

    async def serve() -> None:
        asked = await line.receive()
        line.answer(asked.id, INITIALIZED)
        await line.receive()
        asked = await line.receive()
        for step in steps:
            token = asked.params["_meta"]["progressToken"]
            line.notify("notifications/progress", {"progressToken": token, "progress": step, "total": "many"})
        line.answer(asked.id, {"tools": []})

    async def main() -> None:
        serving = asyncio.create_task(serve())
        traffic = Traffic(1000, observer=TrafficObserver(progressed=lambda progress, _: progressed.append(progress)))
        async with Client(traffic.wrap(line.open(), lambda: None), mode="legacy", cache=None) as client:
            await client.list_tools()
            await serving
            line.to_client.close()

    virtual_time.run(main())
    assert progressed == took
