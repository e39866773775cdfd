"""In-process servers: an exception in server code is the error of one request."""

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
    """A `BaseException` that is not an `Exception`, like the outcomes of pytest."""


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
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a temporary folder, because runs are written below the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raising_server() -> MCPServer:
    """Return a server whose handlers all raise, in a thread and in the event loop."""
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
def sigint_handler() -> Iterator[None]:
    """Install a SIGINT handler, as `asyncio.run` does. Older versions of pytest-asyncio leave Python's own."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


def _without_parameters(function: Callable[[], Any]) -> Callable[[], Any]:
    """Wrap a function so that the server does not see its default as a tool parameter."""
    if asyncio.iscoroutinefunction(function):

        async def called() -> Any:
            return await function()

        return called
    return lambda: function()


async def run_queries(server: Any, *queries: dict[str, Any], **options: Any) -> dict[str, mcprun.Transcript]:
    """Run queries against an in-process server."""
    batch = await mcprun.run_batch(queries, server, mcprun.Options(model="script", **options))
    return {transcript.id: transcript for transcript in batch.transcripts()}


@pytest.mark.parametrize("protocol", ERAS)
async def test_handler_exception_fails_only_its_request(protocol: str) -> None:
    """A tool call returns an error. A prompt or a resource fails its query. Other queries pass."""
    names = [f"{kind}-{name}" for kind in ("sync", "async") for name in RAISED]
    options: dict[str, Any] = {"expect": {"tool_errors": "allow"}}
    queries = [script((name, {}), ("ok", {}), id=f"call {name}", **options) for name in names]
    queries += [{"id": f"prompt {name}", "server_prompt": name, "script": [{"text": "ok"}]} for name in names]
    queries += [
        {"id": f"resource {name}", "prompt": "x", "resources": [f"x:{name}"], "script": [{"text": "ok"}]}
        for name in names
    ]
    transcripts = await run_queries(raising_server(), *queries, OK, protocol=protocol)
    assert transcripts["ok"].verdict == "passed"
    for name in names:
        reason = RAISED[name.partition("-")[2]][1]
        transcript = transcripts[f"call {name}"]
        results = [(call.is_error, call.content[0]["text"]) for call in transcript.calls]
        assert results == [(True, f"the server's handler of tools/call raised {reason}"), (False, "fine")]
        assert transcript.verdict == "passed"
        for prefix, method in (("prompt", "prompts/get"), ("resource", "resources/read")):
            error = transcripts[f"{prefix} {name}"].error
            assert error
            assert error.kind == "prompts"
            assert f"the server's handler of {method} raised {reason}"[:300] in error.message


@pytest.mark.parametrize("protocol", ERAS)
async def test_exit_of_a_tools_task_does_not_end_the_run(protocol: str) -> None:
    """A task that calls `sys.exit` does not stop the event loop. The run restores the loop's task factory."""
    server = MCPServer("tasks")
    server.add_tool(lambda: "fine", name="ok", description="Do nothing.")

    async def exit_process() -> None:
        await asyncio.sleep(0)
        sys.exit(3)

    async def awaits() -> str:
        try:
            await asyncio.gather(exit_process())
        except RuntimeError as error:
            return str(error)
        return "?"

    async def groups() -> str:
        async with asyncio.TaskGroup() as group:
            group.create_task(exit_process())
        return "?"

    server.add_tool(awaits)
    server.add_tool(groups)
    queries = [script((name, {}), id=name, expect={"tool_errors": "allow"}) for name in ("awaits", "groups")]
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    transcripts = await run_queries(server, *queries, OK, protocol=protocol, servers=2)
    assert loop.get_task_factory() is before
    assert [transcript.verdict for transcript in transcripts.values()] == ["passed"] * 3
    assert transcripts["awaits"].calls[0].content[0]["text"] == "a task of the server raised SystemExit: 3"
    assert transcripts["groups"].calls[0].is_error


async def test_existing_task_factory_is_used() -> None:
    """An existing factory creates the tasks. A factory that is set during the context stays."""
    loop = asyncio.get_running_loop()
    created: list[object] = []

    def custom_factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        created.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(cast("Any", custom_factory))
    try:
        with in_process.contain_tasks():
            await asyncio.create_task(asyncio.sleep(0))
            containing_factory = loop.get_task_factory()
            loop.set_task_factory(None)
        assert (loop.get_task_factory(), len(created)) == (None, 1)
        loop.set_task_factory(containing_factory)
        with in_process.contain_tasks(), in_process.contain_tasks():
            await asyncio.create_task(asyncio.sleep(0))
        assert len(created) == 2
    finally:
        loop.set_task_factory(None)


@pytest.mark.parametrize("protocol", ERAS)
@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_server_that_exits_during_startup_is_a_start_error(protocol: str, error: BaseException) -> None:
    """The run's error names the lifespan or the `tools/list` handler, whichever raised."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        raise error
        yield

    async def list_tools(context: Any, params: PaginatedRequestParams | None) -> Any:
        raise error

    servers: dict[str, Any] = {
        "lifespan": MCPServer("lifespan", lifespan=lifespan),
        "handler of tools/list": Server("list", on_list_tools=list_tools),
    }
    for source, server in servers.items():
        options = mcprun.Options(model="script", protocol=protocol)
        batch = await mcprun.run_batch([OK], server, options)
        assert batch.record.error
        assert batch.record.error.kind == "server_start"
        assert f"the server's {source} raised {type(error).__name__}" in batch.record.error.message


@pytest.mark.parametrize("protocol", ERAS)
async def test_exit_during_shutdown_does_not_fail_the_run(protocol: str) -> None:
    """A lifespan that exits during shutdown does not change the verdict."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield
        sys.exit(3)

    server = MCPServer("goes", lifespan=lifespan)
    server.add_tool(lambda: "fine", name="ok", description="Do nothing.")
    assert (await run_queries(server, OK, protocol=protocol))["ok"].verdict == "passed"


@pytest.mark.parametrize("protocol", ERAS)
async def test_deadline_cancels_a_tool_that_exits(protocol: str) -> None:
    """A call or query timeout is reported as such, even if the tool calls `sys.exit` when it is cancelled."""
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
    call_timeouts = await run_queries(server, *queries, protocol=protocol, limits=mcprun.Limits(call_seconds=0.2))
    for name in ("waits", "exits"):
        assert call_timeouts[name].calls[0].content[0]["text"] == f"No answer from {name} within 0.2 s."
    query_timeouts = await run_queries(server, *queries, protocol=protocol, limits=mcprun.Limits(query_seconds=0.2))
    assert [result.error and result.error.kind for result in query_timeouts.values()] == ["query_timeout"] * 2


async def test_keyboard_interrupt_propagates_with_the_default_handler() -> None:
    """`KeyboardInterrupt` propagates if Python's default SIGINT handler is installed.

    `asyncio.run` installs its own.
    """
    with pytest.raises(MCPError, match="it raised KeyboardInterrupt"), in_process._errors_only("it"):
        raise KeyboardInterrupt
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), in_process._errors_only("it"):
            raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


async def test_run_does_not_change_the_server() -> None:
    """A run leaves the server's middleware as it was."""
    server = raising_server()
    before = list(server.middleware)
    await run_queries(server, OK)
    assert list(server.middleware) == before


@pytest.mark.parametrize("protocol", ERAS)
async def test_integer_above_the_digit_limit_is_the_error_of_its_call(protocol: str) -> None:
    """An integer with more than 4300 digits fails its call, as it does over stdio and HTTP."""
    server = MCPServer("large")

    def large() -> int:
        return 10**4999

    server.add_tool(large)
    server.add_tool(lambda: "fine", name="ok", description="Do nothing.")
    transcripts = await run_queries(server, script(("large", {}), id="large"), OK, protocol=protocol)
    assert (transcripts["large"].verdict, transcripts["ok"].verdict) == ("failed", "passed")
    assert "Exceeds the limit (4300 digits)" in transcripts["large"].calls[0].content[0]["text"]
