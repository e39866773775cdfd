"""Progress notifications extend a call's time limit, up to a limit for the whole call."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import mcp_types
import pytest
from mcp import Client

from mcprun._util.deadline import Deadline
from mcprun.client.callbacks import ClientCallbacks
from mcprun.client.connection import Connection
from mcprun.client.inspect import list_catalog
from mcprun.client.request_errors import RequestFailed
from mcprun.client.request_owner import ClientFeatures, ClientResponse, PendingCall, RequestHandler
from mcprun.client.session import ConnectedServer, ServerSession
from mcprun.client.traffic import Traffic
from mcprun.runs.events import AttemptRef, Event
from mcprun.tools.toolset import ToolSet
from tests.support import virtual_time
from tests.support.lines import Line

T = TypeVar("T")

INFO = {"name": "s", "version": "1"}

DISCOVERED = {
    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"prompts": {}}, "serverInfo": INFO,
    "ttlMs": 0, "cacheScope": "private",
}  # fmt: skip

INITIALIZED = {"protocolVersion": "2025-11-25", "capabilities": {"prompts": {}}, "serverInfo": INFO}

RESULTS: dict[str, dict[str, Any]] = {
    "tools/call": {"content": []},
    "prompts/get": {"messages": []},
    "resources/read": {"contents": [], "ttlMs": 0, "cacheScope": "private"},
    "prompts/list": {"prompts": [], "ttlMs": 0, "cacheScope": "private"},
}


class SilentQuery:
    """A query that must not receive a request."""

    where = AttemptRef("q")

    async def answer(self, kind: str, request: Any, caller: PendingCall | None, *, is_sure: bool) -> ClientResponse:
        """Raise an error."""
        raise NotImplementedError


async def serve(line: Line, progress: Iterable[tuple[float, float | None]], era: str) -> None:
    """Send each progress item, one second apart, before the response to each request. An item is (progress, total)."""
    while True:
        request = await line.receive()
        if not isinstance(request, mcp_types.JSONRPCRequest):
            continue
        if request.method == "server/discover":
            line.answer(request.id, DISCOVERED if era == "modern" else None)
        elif request.method == "initialize":
            line.answer(request.id, INITIALIZED)
        else:
            token = (request.params or {})["_meta"]["progressToken"]
            for done, total in progress:
                await asyncio.sleep(1)
                line.notify("notifications/progress", {"progressToken": token, "progress": done, "total": total})
            await asyncio.sleep(1)
            line.answer(
                request.id, {**RESULTS[request.method], **({"resultType": "complete"} if era == "modern" else {})}
            )


def measure_request(
    send: Callable[[ServerSession, PendingCall], Awaitable[T]],
    progress: Iterable[tuple[float, float | None]],
    era: str = "legacy",
    limits: tuple[float, float] = (2, 10),
    events: list[Event] | None = None,
) -> tuple[T, float]:
    """Send a request to a server that reports progress. Return its result and its duration in seconds."""

    async def main() -> tuple[T, float]:
        line = Line()
        serving = asyncio.create_task(serve(line, progress, era))
        callbacks = ClientCallbacks(1, ClientFeatures(), (events if events is not None else []).append, str, Counter())
        traffic = Traffic(1000).wrap(line.open(), lambda: None)
        async with Client(traffic, mode="auto", cache=None) as client:
            server = ServerSession(
                1,
                ConnectedServer(client, Connection(lambda _: None), cast("Any", None), callbacks),
                ToolSet(),
                cast("Any", None),
                limits[1],
            )
            loop = asyncio.get_running_loop()
            started = loop.time()
            found = await send(server, PendingCall(cast("RequestHandler", SilentQuery()), 0, 0, Deadline(*limits)))
            took = loop.time() - started
            serving.cancel()
            line.to_client.close()
            return found, took

    return virtual_time.run(main())


async def call_tool(server: ServerSession, caller: PendingCall) -> str:
    """Call a tool, and return the error text or "done"."""
    response = await server.call("slow", {}, caller.clock.limit_s, caller)
    return response.result["content"][0]["text"] if response.is_error else "done"


async def send_request(server: ServerSession, caller: PendingCall | None, message: mcp_types.Request[Any, Any]) -> str:
    """Send a request, and return the error text or "done"."""
    try:
        await server.request(message, "it", 2, caller)
    except RequestFailed as error:
        return str(error)
    return "done"


def get_prompt(server: ServerSession, caller: PendingCall) -> Awaitable[str]:
    return send_request(server, caller, mcp_types.GetPromptRequest(params=mcp_types.GetPromptRequestParams(name="x")))


def read_resource(server: ServerSession, caller: PendingCall) -> Awaitable[str]:
    params = mcp_types.ReadResourceRequestParams(uri="x://y")
    return send_request(server, caller, mcp_types.ReadResourceRequest(params=params))


def list_prompts(server: ServerSession, _: PendingCall) -> Awaitable[str]:
    """List prompts without a pending call."""
    return send_request(server, None, mcp_types.ListPromptsRequest(params=mcp_types.PaginatedRequestParams()))


def progress_of_ten(*numbers: float) -> Iterator[tuple[float, float | None]]:
    """Return progress items with a total of ten."""
    return ((number, 10) for number in numbers)


async def list_everything(server: ServerSession, _: PendingCall) -> str:
    """List prompts and resources, and return the errors or "done"."""
    return ", ".join((await list_catalog(server, 2, print)).failed.values()) or "done"


REQUESTS = [call_tool, get_prompt, read_resource, list_prompts]


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("send", [*REQUESTS, list_everything])
def test_progress_restarts_the_time_limit(send: Any, era: str) -> None:
    """A request of six seconds completes with a limit of two seconds if it reports progress each second."""
    assert measure_request(send, progress_of_ten(1, 2, 3, 4, 5), era) == ("done", 6)


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("send", REQUESTS)
def test_progress_does_not_extend_the_total_limit(send: Any, era: str) -> None:
    """The total limit ends the request, and the message names the limit and the last progress."""
    endless = ((number, None) for number in itertools.count())
    message, took = measure_request(send, endless, era, (2, 4.5))
    text = "within 4.5 s in all (--max-call-timeout); last progress less than 2 s earlier (3)"
    assert message in (f"No answer from slow {text}.", f"no response to it {text}")
    assert took == 4.5


@pytest.mark.parametrize(
    ("progress", "message", "took"),
    [
        ((), "within 2 s", 2),
        ((3, 3, 3, 3, 3), "within 2 s; last progress 2 s earlier (3 of 10)", 3),
        ((3, 2, 1, 0), "within 2 s; last progress 2 s earlier (3 of 10)", 3),
        ((1, 2, float("nan"), float("nan")), "within 2 s; last progress 2 s earlier (2 of 10)", 4),
        ((0.25, 0.5, 0.5, 0.5), "within 2 s; last progress 2 s earlier (0.5 of 10)", 4),
        ((-5, -4, -4, -4), "within 2 s; last progress 2 s earlier (-4 of 10)", 4),
    ],
)
def test_only_increasing_progress_extends_the_limit(progress: tuple[float, ...], message: str, took: float) -> None:
    """The call ends two seconds after the last increase."""
    unchanging = progress_of_ten(*[float("nan")] * 10)
    assert measure_request(call_tool, [*progress_of_ten(*progress), *unchanging], limits=(2, 60)) == (
        f"No answer from slow {message}.",
        took,
    )


def test_number_of_progress_events_is_bounded() -> None:
    """All 39 notifications extend the limit, but only 20 events are emitted."""
    events: list[Event] = []
    assert measure_request(call_tool, progress_of_ten(*range(1, 40)), limits=(2, 60), events=events) == ("done", 40)
    assert len(events) == 20


def test_progress_during_a_pause_counts_from_its_end() -> None:
    """A pause does not count, and progress during it restarts the limit at the end of the pause."""

    clock = Deadline(2, 5)

    async def wait() -> None:
        async with clock:
            await asyncio.sleep(1)
            with clock.pause():
                await asyncio.sleep(10)
                clock.extend(1, None)
                await asyncio.sleep(10)
            await asyncio.sleep(1)
            clock.extend(2, None)
            await asyncio.sleep(1.5)
            clock.extend(3, None)
            await asyncio.sleep(60)

    async def main() -> float:
        with pytest.raises(TimeoutError):
            await wait()
        return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == 25
    assert clock.limit == "within 5 s in all (--max-call-timeout); last progress less than 2 s earlier (3)"
