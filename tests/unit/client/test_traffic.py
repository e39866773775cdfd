"""Messages between a transport and the SDK's session: matching, flow control and time limits."""

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
    """Return a request."""
    return JSONRPCRequest(jsonrpc="2.0", id=number, method=method)


def result(number: Any, **fields: Any) -> JSONRPCResponse:
    """Return a result, even with an invalid ID."""
    return JSONRPCResponse.model_construct(None, jsonrpc="2.0", id=number, result=fields)


def error(number: int | str | None) -> JSONRPCError:
    """Return an error response."""
    return JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=1, message="no"))


def cancellation(number: int | str) -> JSONRPCNotification:
    """Return the notification that cancels a request."""
    return JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params={"requestId": number})


class Recorder:
    """Record the callbacks of the traffic."""

    def __init__(self) -> None:
        self.strays: list[tuple[str, bool]] = []
        self.sent: list[str] = []
        self.unprobed: list[float] = []

    def traffic(self, probe_s: float | None = None) -> Traffic:
        """Return the traffic of a connection."""
        observer = TrafficObserver(
            sending=self.sent.append,
            unprobed=self.unprobed.append,
            stray=lambda *case: self.strays.append(case),
        )
        return Traffic(1000, probe_s, observer)


@pytest.mark.parametrize(
    ("sent", "answer", "expected_id"),
    [
        ([request(1)], error(None), 1),
        ([request(1)], error("x"), 1),
        ([request(1)], error("1"), 1),
        ([request(1), cancellation(1)], error(1), 1),  # late; the SDK drops it
        ([request(1), request("listen-0", "subscriptions/listen")], error(None), 1),
        ([request(1), request(2)], error(None), None),
        ([request(1), cancellation(1), request(2)], error(None), None),
        ([request(1)], error(7), None),  # an integer that no request has
        ([], error(None), None),
        ([request("listen-0", "subscriptions/listen")], error(None), None),
    ],
)
def test_unmatched_error_goes_to_the_only_candidate(
    sent: list[JSONRPCMessage], answer: JSONRPCError, expected_id: int | str | None
) -> None:
    """The error gets the ID of the only pending request. With several candidates or none, it is reported as a stray."""
    recorder = Recorder()
    traffic = recorder.traffic()
    for message in sent:
        traffic.begin(message)
    item = traffic.match_incoming(SessionMessage(answer))
    assert (item.message.id if isinstance(item, SessionMessage) else None) == expected_id  # type: ignore[union-attr]
    assert len(recorder.strays) == (expected_id is None)


def test_answered_request_is_not_a_candidate() -> None:
    """Of two requests, the unanswered one gets a result without an ID."""
    recorder = Recorder()
    traffic = recorder.traffic()
    traffic.begin(request(1))
    traffic.begin(request(2))
    traffic.match_incoming(SessionMessage(result(1)))
    item = traffic.match_incoming(SessionMessage(result(None, a=1)))
    assert isinstance(item, SessionMessage)
    assert item.message == result(2, a=1)
    assert recorder.strays == [('a result without an id while one request was pending: {"a": 1}', True)]


async def test_unsent_request_is_not_a_candidate() -> None:
    """A forgotten probe receives no response, and its time limit is not reported."""
    recorder = Recorder()
    traffic = recorder.traffic(1.0)
    traffic.begin(request(1, "server/discover"))
    traffic.forget(request(1, "server/discover"))
    traffic.begin(request(2, "initialize"))
    item = traffic.match_incoming(SessionMessage(error(None)))
    assert isinstance(item, SessionMessage)
    assert item.message == error(2)
    assert (traffic.no_probe(), recorder.unprobed) == (None, [])


def test_last_error_is_cleared_by_the_next_message() -> None:
    """`last_error` is set only while the server's last message is an error."""
    traffic = Recorder().traffic()
    traffic.begin(request(1))
    traffic.match_incoming(SessionMessage(error(1)))
    assert traffic.last_error == ErrorData(code=1, message="no")
    traffic.match_incoming(SessionMessage(cancellation("a")))
    assert traffic.last_error is None


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ('{"jsonrpc": "2.0", "id": 1, "error": "full"}', "full"),
        ('{"jsonrpc": "2.0", "id": null, "error": "full"}', "full"),
        ('{"jsonrpc": "2.0", "id": 1, "error": {"mess', "the answer can't be read: Invalid JSON"),
        ('{"jsonrpc": "2.0", "id": 1, "result": []}', "the answer can't be read: its result is not an object"),
        ('{"jsonrpc": "2.0", "method": 7}', None),
    ],
)
def test_invalid_sse_message_is_matched_or_reported(sent: str, expected: str | None) -> None:
    """The SDK's SSE transport passes the validation error instead of the message.

    One that answers no request is a stray.
    """
    recorder = Recorder()
    traffic = recorder.traffic()
    traffic.begin(request(1))
    with pytest.raises(ValidationError) as caught:
        jsonrpc_message_adapter.validate_json(sent, by_name=False)
    item = traffic.match_incoming(caught.value)
    assert (item is None) == (expected is None) == bool(recorder.strays)
    if expected and isinstance(item, SessionMessage) and isinstance(item.message, JSONRPCError):
        assert item.message.id == 1
        assert item.message.error.message.startswith(expected)


INITIALIZED = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}}

DISCOVERED = {
    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}, "serverInfo": {"name": "s", "version": "1"},
    "ttlMs": 0, "cacheScope": "private",
}  # fmt: skip


def connect(recorder: Recorder, probe_s: float, server: Coroutine[Any, Any, None], line: Line) -> tuple[str, float]:
    """Connect to a server on virtual time. Return the negotiated protocol and the duration in seconds."""

    async def main() -> tuple[str, float]:
        serving = asyncio.create_task(server)
        loop = asyncio.get_running_loop()
        async with Client(recorder.traffic(probe_s).wrap(line.open(), lambda: None), mode="auto", cache=None) as client:
            took = loop.time()
            await serving
            line.to_client.close()
            return client.protocol_version, took

    return virtual_time.run(main())


def test_unanswered_probe_falls_back_to_initialize() -> None:
    """The probe has its own time limit, after which `initialize` is sent.

    A late response to the probe has no effect.
    """
    recorder, line = Recorder(), Line()

    async def server() -> None:
        probe, initialize = await line.receive(), await line.receive()
        line.say(result(probe.id, **DISCOVERED))
        line.say(result(initialize.id, **INITIALIZED))

    assert connect(recorder, 2, server(), line) == ("2025-11-25", 2)
    assert (recorder.unprobed, recorder.strays) == ([2], [])
    assert recorder.sent == ["server/discover", "initialize"]


def test_probe_answered_in_time_is_used() -> None:
    """Other messages may arrive first. The connection keeps no time limit afterwards."""
    recorder, line = Recorder(), Line()

    async def server() -> None:
        probe = await line.receive()
        line.say(
            JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"level": "info", "data": 1})
        )
        await asyncio.sleep(1.5)
        line.say(result(probe.id, **DISCOVERED))
        await asyncio.sleep(20)

    assert connect(recorder, 2, server(), line) == ("2026-07-28", 1.5)
    assert recorder.unprobed == []


def test_an_error_without_an_id_answers_the_probe() -> None:
    """A result with an unknown ID then answers `initialize`, the only pending request."""
    recorder, line = Recorder(), Line()

    async def server() -> None:
        await line.receive()
        line.say(error(None))
        await line.receive()
        line.say(result("?", **INITIALIZED))

    assert connect(recorder, 2, server(), line) == ("2025-11-25", 0)
    assert recorder.unprobed == []


async def test_flood_of_messages_does_not_starve_other_tasks() -> None:
    """Other tasks run while 6400 queued messages are read."""
    line, turns, received = Line(), 0, 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for _ in range(6400):
        line.say(JSONRPCNotification(jsonrpc="2.0", method="notifications/progress"))
    line.to_client.close()
    async with Recorder().traffic().wrap(line.open(), lambda: None) as (read, _), read:
        received = len([message async for message in read])
    counting.cancel()
    assert received == 6400
    assert turns >= 200


async def test_number_of_unanswered_server_requests_is_bounded() -> None:
    """At most 500 requests of the server are delivered until some are answered."""
    line = Line()
    for number in range(2000):
        line.say(request(number, "ping"))
    async with Recorder().traffic().wrap(line.open(), lambda: None) as (read, write), read, write:
        received: list[Any] = []

        async def settle() -> int:
            for _ in range(2000):
                await asyncio.sleep(0)
            return len(received)

        collecting = asyncio.create_task(_collect(read, received))
        assert await settle() == 500
        for number in range(100):
            await write.send(SessionMessage(result(number)))
        assert await settle() == 600
        collecting.cancel()


async def _collect(read: Any, received: list[Any]) -> None:
    async for message in read:
        received.append(message)  # noqa: PERF401  the test reads the list while it grows


def test_blocked_cancellation_does_not_delay_the_caller() -> None:
    """A cancellation that the server does not read is dropped when the connection closes."""

    class BlockedStream:
        """The write stream of a transport that is never read."""

        async def send(self, item: SessionMessage) -> None:
            await asyncio.Event().wait()

        async def __aenter__(self) -> None:
            return

        async def __aexit__(self, *error: object) -> None:
            return

    @asynccontextmanager
    async def open_blocked() -> AsyncIterator[tuple[Any, Any]]:
        yield None, BlockedStream()

    async def main() -> float:
        async with Recorder().traffic().wrap(open_blocked(), lambda: None) as (_, write), write:
            await write.send(SessionMessage(cancellation(1)))
            return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == 0.25


@pytest.mark.parametrize(("steps", "expected"), [([1, 2, 3], [1.0, 2.0, 3.0]), ([1, 1, 0, 2], [1.0, 2.0])])
def test_tool_list_reports_increasing_progress(steps: list[float], expected: list[float]) -> None:
    """`tools/list` has its own progress token, since the SDK's client adds none. Only increases are reported."""
    line, progressed = Line(), list[float]()

    async def serve() -> None:
        message = await line.receive()
        line.answer(message.id, INITIALIZED)
        await line.receive()
        message = await line.receive()
        for step in steps:
            token = message.params["_meta"]["progressToken"]
            line.notify("notifications/progress", {"progressToken": token, "progress": step, "total": "many"})
        line.answer(message.id, {"tools": []})

    async def main() -> None:
        serving = asyncio.create_task(serve())
        traffic = Traffic(1000, observer=TrafficObserver(progressed=lambda progress, _: progressed.append(progress)))
        async with Client(traffic.wrap(line.open(), lambda: None), mode="legacy", cache=None) as client:
            await client.list_tools()
            await serving
            line.to_client.close()

    virtual_time.run(main())
    assert progressed == expected
