"""Servers in this process: an exception of their code is the error of one request."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from mcp import MCPError
from mcp.server import MCPServer, Server
from mcp_types import PaginatedRequestParams

import mcprun
from mcprun.client import in_process
from tests.support.cli import script

OK = script(("ok", {}), id="ok", expect={"calls": [{"tool": "ok", "result": "fine"}]})

ERAS = ["legacy", "2026-07-28"]


class Odd(BaseException):
    """No `Exception`, as those of pytest are none."""


RAISED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "exit": (lambda: SystemExit(0), "SystemExit: 0"),
    "words": (lambda: SystemExit("no disk"), "SystemExit: no disk"),
    "interrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "close": (GeneratorExit, "GeneratorExit"),
    "cancel": (asyncio.CancelledError, "CancelledError"),
    "odd": (lambda: Odd("x" * 9999), "Odd: " + "x" * 295),
    "group": (
        lambda: BaseExceptionGroup("two", [SystemExit(1), ValueError("x")]),
        "BaseExceptionGroup: two (2 sub-exceptions)",
    ),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs are written below the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raising() -> MCPServer:
    """Make a server that raises in all of its handlers, in a thread and in the event loop."""
    server = MCPServer("raising")
    server.add_tool(lambda: "fine", name="ok", description="Do nothing.")
    for name, (make, _) in RAISED.items():

        def in_a_thread(make: Callable[[], BaseException] = make) -> str:
            raise make()

        async def in_the_loop(make: Callable[[], BaseException] = make) -> str:
            await asyncio.sleep(0)
            raise make()

        for kind, tool in (("sync", in_a_thread), ("async", in_the_loop)):
            wrapped = _without_parameters(tool)
            server.add_tool(wrapped, name=f"{kind}-{name}", description="Raise.")
            server.prompt(f"{kind}-{name}")(wrapped)
            server.resource(f"x:{kind}-{name}", name=name)(wrapped)
    return server


@pytest.fixture(autouse=True)
def handled_interrupts() -> Iterator[None]:
    """SIGINT has a handler, as under `asyncio.run`; older versions of pytest-asyncio leave Python's own."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


def _without_parameters(function: Callable[[], Any]) -> Callable[[], Any]:
    """Wrap a function such that the server takes its default for no parameter."""
    if asyncio.iscoroutinefunction(function):

        async def called() -> Any:
            return await function()

        return called
    return lambda: function()


async def run(server: Any, *queries: dict[str, Any], **options: Any) -> dict[str, mcprun.Transcript]:
    """Run queries against a server in this process."""
    done = await mcprun.run_batch(queries, server, mcprun.Options(model="script", **options))
    return {one.id: one for one in done.transcripts()}


@pytest.mark.parametrize("protocol", ERAS)
async def test_whatever_a_handler_raises_is_the_error_of_its_request(protocol: str) -> None:
    """A call is answered with an error, a prompt or a resource fails its query, and the others pass."""
    names = [f"{kind}-{name}" for kind in ("sync", "async") for name in RAISED]
    permitted: dict[str, Any] = {"expect": {"tool_errors": "allow"}}
    queries = [script((name, {}), ("ok", {}), id=f"call {name}", **permitted) for name in names]
    queries += [{"id": f"prompt {name}", "server_prompt": name, "script": [{"text": "ok"}]} for name in names]
    queries += [
        {"id": f"resource {name}", "prompt": "x", "resources": [f"x:{name}"], "script": [{"text": "ok"}]}
        for name in names
    ]
    done = await run(raising(), *queries, OK, protocol=protocol)
    assert done["ok"].verdict == "passed"
    for name in names:
        reason = RAISED[name.partition("-")[2]][1]
        one = done[f"call {name}"]
        result_text = [(call.is_error, call.content[0]["text"]) for call in one.calls]
        assert result_text == [(True, f"the server's handler of tools/call raised {reason}"), (False, "fine")]
        assert one.verdict == "passed"
        for what, method in (("prompt", "prompts/get"), ("resource", "resources/read")):
            error = done[f"{what} {name}"].error
            assert error
            assert error.kind == "prompts"
            assert f"the server's handler of {method} raised {reason}"[:300] in error.message


@pytest.mark.parametrize("protocol", ERAS)
async def test_tasks_that_a_tool_starts_are_contained_as_well(protocol: str) -> None:
    """asyncio would let the exit of any task out of the event loop, which is as it was when the run is over."""
    server = MCPServer("tasks")
    server.add_tool(lambda: "fine", name="ok", description="Do nothing.")

    async def leave() -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    async def awaits() -> str:
        try:
            await asyncio.gather(leave())
        except RuntimeError as error:
            return str(error)
        return "?"

    async def groups() -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(leave())
        return "?"

    server.add_tool(awaits)
    server.add_tool(groups)
    queries = [script((name, {}), id=name, expect={"tool_errors": "allow"}) for name in ("awaits", "groups")]
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    done = await run(server, *queries, OK, protocol=protocol, servers=2)
    assert loop.get_task_factory() is before
    assert [one.verdict for one in done.values()] == ["passed"] * 3
    assert done["awaits"].calls[0].content[0]["text"] == "a task of the server raised SystemExit: 3"
    assert done["groups"].calls[0].is_error


async def test_a_task_factory_that_was_there_makes_the_tasks() -> None:
    """One that is set meanwhile stays, too."""
    loop = asyncio.get_running_loop()
    made: list[object] = []

    def own(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(cast("Any", own))
    try:
        with in_process.contain_tasks():
            await asyncio.create_task(asyncio.sleep(0))
            ours = loop.get_task_factory()
            loop.set_task_factory(None)
        assert (loop.get_task_factory(), len(made)) == (None, 1)
        loop.set_task_factory(ours)
        with in_process.contain_tasks(), in_process.contain_tasks():
            await asyncio.create_task(asyncio.sleep(0))
        assert len(made) == 2
    finally:
        loop.set_task_factory(None)


@pytest.mark.parametrize("protocol", ERAS)
@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_a_server_that_exits_when_it_is_started_is_not_reached(protocol: str, error: BaseException) -> None:
    """The run has an error that names it, whether its lifespan or its list of tools raised."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        raise error
        yield

    async def listed(context: Any, params: PaginatedRequestParams | None) -> Any:
        raise error

    servers: dict[str, Any] = {
        "lifespan": MCPServer("lifespan", lifespan=lifespan),
        "handler of tools/list": Server("list", on_list_tools=listed),
    }
    for what, server in servers.items():
        options = mcprun.Options(model="script", protocol=protocol)
        done = await mcprun.run_batch([OK], server, options)
        assert done.record.error
        assert done.record.error.kind == "server_start"
        assert f"the server's {what} raised {type(error).__name__}" in done.record.error.message


@pytest.mark.parametrize("protocol", ERAS)
async def test_a_server_that_exits_when_it_is_stopped_has_been_run(protocol: str) -> None:
    """How a server misbehaves while it goes changes nothing."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield
        sys.exit(3)

    server = MCPServer("goes", lifespan=lifespan)
    server.add_tool(lambda: "fine", name="ok", description="Do nothing.")
    assert (await run(server, OK, protocol=protocol))["ok"].verdict == "passed"


@pytest.mark.parametrize("protocol", ERAS)
async def test_a_tool_that_is_cancelled_stays_so(protocol: str) -> None:
    """A deadline of mcprun is what it was, also where the tool exits instead of being cancelled."""
    server = MCPServer("waits")

    async def waits() -> str:
        await asyncio.Event().wait()
        return "?"

    async def exits() -> str:
        try:
            return await waits()
        finally:
            sys.exit(3)

    server.add_tool(waits)
    server.add_tool(exits)
    queries = [script((name, {}), id=name) for name in ("waits", "exits")]
    late = await run(server, *queries, protocol=protocol, limits=mcprun.Limits(call_seconds=0.2))
    for name in ("waits", "exits"):
        assert late[name].calls[0].content[0]["text"] == f"No answer from {name} within 0.2 s."
    over = await run(server, *queries, protocol=protocol, limits=mcprun.Limits(query_seconds=0.2))
    assert [one.error and one.error.kind for one in over.values()] == ["query_timeout"] * 2


async def test_ctrl_c_is_a_person_s() -> None:
    """Where the handler of SIGINT raises `KeyboardInterrupt` it is let through; `asyncio.run` has another one."""
    with pytest.raises(MCPError, match="it raised KeyboardInterrupt"), in_process._errors_only("it"):
        raise KeyboardInterrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), in_process._errors_only("it"):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


async def test_a_server_is_not_changed() -> None:
    """The server that a program holds has the handlers and the middleware that it had."""
    server = raising()
    before = list(server.middleware)
    await run(server, OK)
    assert list(server.middleware) == before


@pytest.mark.parametrize("protocol", ERAS)
async def test_a_number_that_no_file_could_hold_is_the_error_of_its_call(protocol: str) -> None:
    """Over a wire such an answer can't be read either."""
    server = MCPServer("large")

    def large() -> int:
        return 10**4999

    server.add_tool(large)
    server.add_tool(lambda: "fine", name="ok", description="Do nothing.")
    done = await run(server, script(("large", {}), id="large"), OK, protocol=protocol)
    assert (done["large"].verdict, done["ok"].verdict) == ("failed", "passed")
    assert "Exceeds the limit (4300 digits)" in done["large"].calls[0].content[0]["text"]
