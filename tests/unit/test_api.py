"""The Python interface: options, progress and errors of `run_batch` and `compare_runs`."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any, cast

import pytest
from mcp.server import MCPServer
from mcp.server.mcpserver import Elicit, ListRoots, Resolve
from mcp_types import ListRootsResult
from pydantic import BaseModel

import mcprun
from mcprun.runs.events import Event, QueryEnd
from tests.support.cli import RAW, script

ADD = script(("add", {"a": 2, "b": 3}), id="add", text="5", expect={"calls": [{"tool": "add", "result": 5}]})

SCRIPT = mcprun.Options(model="script")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder, and unset the API key and the other variables that choose a model."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "MCPRUN_MODEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def server() -> MCPServer:
    """Return a server in this process with tools that add and fail."""
    adder = MCPServer("adder", version="1.2.3")

    @adder.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @adder.tool()
    def fail() -> str:
        """Fail."""
        raise ValueError("on purpose")

    return adder


class Wish(BaseModel):
    """The form of the elicitation request."""

    dish: str = "bread"


async def list_roots() -> ListRoots:
    return ListRoots()


async def elicit_wish() -> Elicit[Wish]:
    return Elicit("What will it be?", Wish)


async def order(
    roots: Annotated[ListRootsResult, Resolve(list_roots)], wish: Annotated[Wish, Resolve(elicit_wish)]
) -> list[str]:
    """Take an order."""
    return [wish.dish, *(root.name or "" for root in roots.roots)]


def list_entries(folder: Path) -> list[str]:
    """Return the names of a folder's entries."""
    return [entry.name for entry in folder.iterdir()]


async def test_run_batch_runs_an_in_process_server(server: MCPServer) -> None:
    """`run_batch` accepts queries as values and a server object, and writes an ordinary run directory."""
    events: list[Event] = []
    run = await mcprun.run_batch([ADD, script(("fail", {}), id="bad")], server, SCRIPT, watch=events.append)
    assert [(one.id, one.verdict, one.calls[0].structured) for one in run.transcripts()] == [
        ("add", mcprun.Verdict.PASSED, {"result": 5}),
        ("bad", mcprun.Verdict.FAILED, None),
    ]
    assert (run.record.state, run.record.exit_code) == ("finished", mcprun.ExitCode.FAILED)
    assert run.record.server
    assert (run.record.server.name, run.record.server.version) == ("adder", "1.2.3")
    assert run.record.arguments == {"prompts": "-", "server": "adder (in this process)", "model": "script"}
    assert [event.transcript.id for event in events if isinstance(event, QueryEnd)] in (["add", "bad"], ["bad", "add"])


async def test_a_run_records_its_rules_and_rejects_others_on_resume(server: MCPServer) -> None:
    """The options are recorded in `run.json` like those of a command, and a resumed run must have the same rules."""
    options = replace(SCRIPT, allow_tool_errors=True, deny_tool=["x*"], out="kept")
    run = await mcprun.run_batch([ADD], server, options)
    named = {"model": "script", "allow_tool_errors": True, "deny_tool": ["x*"], "out": "kept"}
    assert run.record.arguments == {"prompts": "-", "server": "adder (in this process)", **named}
    with pytest.raises(mcprun.UsageError, match="--allow-tool-errors has changed since kept was started"):
        await mcprun.run_batch([ADD], server, replace(options, allow_tool_errors=False, out=None), resume=run)
    resumed = await mcprun.run_batch([ADD], server, replace(options, out=None), resume=run)
    assert resumed.counts.passed == 1


@pytest.mark.parametrize("protocol", ["legacy", "2026-07-28"])
async def test_an_in_process_server_can_elicit_and_list_roots(server: MCPServer, folder: Path, protocol: str) -> None:
    """Elicitation answers of the options and of a query, and roots, reach the server in both protocol eras."""
    server.add_tool(order)
    queries = [script(("order", {}), id="own", elicit=[{"dish": "soup"}]), script(("order", {}), id="default")]
    options = mcprun.Options(model="script", protocol=protocol, elicit="defaults", roots=[str(folder)])
    run = await mcprun.run_batch(queries, server, options)
    assert [one.calls[0].structured for one in run.transcripts()] == [
        {"result": ["soup", folder.name]},
        {"result": ["bread", folder.name]},
    ]


async def test_a_replay_against_a_changed_server_is_compared(server: MCPServer) -> None:
    """A recording is replayed in this process, and `compare_runs` returns the changed result."""
    first = await mcprun.run_batch([ADD], server, SCRIPT)
    changed = MCPServer("adder")

    @changed.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a - b

    head = await mcprun.run_batch([ADD], changed, mcprun.Options(model=f"replay:{first.path}"))
    (diff,) = mcprun.compare_runs(first.path, head.path).queries
    assert (diff.id, diff.verdicts) == ("add", ("passed", "failed"))
    assert mcprun.Change("result", 5, -1, 0, "add", {"a": 2, "b": 3}) in diff.changes
    only = mcprun.CompareOptions(frozenset({"usage"}))
    assert mcprun.compare_runs(first.path, head.path, only).summary == mcprun.DiffSummary(same=1)


async def test_a_run_can_be_stopped_and_resumed(server: MCPServer) -> None:
    """A `RunStop` drains the run, and resuming it runs the remaining queries."""
    run_stop = mcprun.RunStop()

    def watch(event: Event) -> None:
        if isinstance(event, QueryEnd):
            run_stop.drain(mcprun.RunError(mcprun.ErrorKind.CANCELLED, "enough"))

    queries = [{**ADD, "id": f"q{number}"} for number in range(5)]
    options = mcprun.Options(model="script", limits=mcprun.Limits(concurrency=1))
    run = await mcprun.run_batch(queries, server, options, watch=watch, run_stop=run_stop)
    assert (run.record.state, len(list(run.transcripts()))) == ("interrupted", 1)
    resumed = await mcprun.run_batch(queries, server, options, resume=run)
    assert (resumed.path, resumed.record.state, len(list(resumed.transcripts()))) == (run.path, "finished", 5)


async def test_concurrent_runs_restore_gc_and_logging_settings(server: MCPServer) -> None:
    """Garbage collection and logging are as before after two overlapping runs, the first of which ends first."""
    threshold, arrivals, both_started, first_ended = gc.get_threshold(), count(1), asyncio.Event(), asyncio.Event()

    @server.tool()
    async def meet() -> None:
        """Wait for the other run: to begin in the one that is first, to end in the other."""
        if next(arrivals) == 1:
            await both_started.wait()
        else:
            both_started.set()
            await first_ended.wait()

    async def run(out: str) -> mcprun.Run:
        options = mcprun.Options(model="script", out=out)
        return await mcprun.run_batch([script(("meet", {}))], server, options)

    first, second = asyncio.create_task(run("a")), asyncio.create_task(run("b"))
    await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
    first_ended.set()
    assert [one.record.exit_code for one in await asyncio.gather(first, second)] == [0, 0]
    assert (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()) == (threshold, 0, True)
    loggers = [logging.getLogger(name) for name in ("mcp", "anthropic", "httpx2")]
    assert [(logger.propagate, logger.handlers) for logger in loggers] == [(True, [])] * 3


@pytest.mark.parametrize(
    ("queries", "options", "message"),
    [
        ([{"prompt": ""}], SCRIPT, "queries[0].prompt: must not be empty"),
        ([ADD, {"promt": "x"}], SCRIPT, "queries[1].promt: unknown key; did you mean 'prompt'?"),
        ([ADD, ADD], SCRIPT, "queries[1].id: 'add' is already used in queries[0]"),
        ([ADD, "Hi"], SCRIPT, "queries[1].script: is missing, but the model is script"),
        ([ADD, 5], SCRIPT, "queries[1]: must be"),
        ([], SCRIPT, "queries: the list is empty"),
        (["Hi"], mcprun.Options(), "no model: set"),
        ([{"prompt": object()}], SCRIPT, "queries[0]: is not JSON"),
        ([ADD], mcprun.Options(model="script", env={"A": "b"}), "accepts neither variables nor headers"),
        ([ADD], mcprun.Options(model="script", scrub=["("]), "--scrub"),
    ],
)
async def test_invalid_queries_and_options_are_usage_errors(
    folder: Path, server: MCPServer, queries: list[Any], options: mcprun.Options, message: str
) -> None:
    """A usage error states the problem, and nothing is run or written."""
    with pytest.raises(mcprun.UsageError, match=re.escape(message)):
        await mcprun.run_batch(queries, server, options)
    assert list_entries(folder) == []


@pytest.mark.parametrize(
    ("queries", "server", "options", "message"),
    [
        (None, RAW, SCRIPT, "prompts must be the name of a file or a list of queries, not None"),
        (ADD, RAW, SCRIPT, "prompts must be the name of a file or a list of queries, not a table"),
        (b"p.jsonl", RAW, SCRIPT, "prompts must be the name of a file or a list of queries, not bytes"),
        ([ADD], None, SCRIPT, "server must be a file, a URL, a command line, or a server of the MCP SDK, not None"),
        ([ADD], [RAW], SCRIPT, "server must be a file, a URL, a command line, or a server of the MCP SDK, not a list"),
        ([ADD], "", SCRIPT, "SERVER is empty; pass a server file"),
        ([ADD], RAW, {"model": "script"}, "options must be an object of type mcprun.Options, not a table"),
        ([ADD], RAW, {}, "options must be an object of type mcprun.Options, not a table"),
        ([ADD], RAW, mcprun.Options(servers=2, fresh_server=True), "--servers and --fresh-server cannot be combined"),
        ([ADD], RAW, mcprun.Options(ray_actors=2), "--ray-actors needs --ray"),
    ],
)
async def test_arguments_of_wrong_types_are_usage_errors(
    folder: Path, queries: Any, server: Any, options: Any, message: str
) -> None:
    """Arguments of the wrong type, missing servers and contradicting options are usage errors. Nothing is written."""
    with pytest.raises(mcprun.UsageError, match=re.escape(message)):
        await mcprun.run_batch(queries, server, options)
    assert list_entries(folder) == []


async def test_keyword_arguments_of_wrong_types_are_usage_errors(server: MCPServer) -> None:
    """Keyword arguments of the wrong type are rejected before anything is read."""
    for keywords, message in (
        ({"resume": True}, "resume can't be a boolean"),
        ({"run_stop": "now"}, "run_stop can't be a string"),
        ({"watch": None}, "watch must be a function, not None"),
    ):
        with pytest.raises(mcprun.UsageError, match=message):
            await mcprun.run_batch([ADD], server, SCRIPT, **cast("dict[str, Any]", keywords))


def test_invalid_compare_options_are_usage_errors() -> None:
    """Unknown aspects, strings in place of lists, and an invalid `alpha` are rejected."""
    cases: list[tuple[Any, str]] = [
        (lambda: mcprun.CompareOptions(cast("Any", "calls")), "aspects must be a set of strings, not a string"),
        (lambda: mcprun.CompareOptions(frozenset({"verdit"})), "not 'verdit'"),
        (
            lambda: mcprun.CompareOptions(scrubber=cast("Any", ["uuid"])),
            "scrubber must be an object of type mcprun.Scrubber",
        ),
        (lambda: mcprun.Scrubber.of("uuid"), "scrub must be a list of strings, not a string"),
        (lambda: mcprun.Scrubber.of([], "calls"), "ignore must be a list of strings, not a string"),
        (
            lambda: mcprun.compare_runs("a", "b", cast("Any", "calls")),
            "options must be an object of type mcprun.CompareOptions",
        ),
        *(
            (lambda alpha=alpha: mcprun.compare_runs("a", "b", alpha=alpha), "alpha must be a number above 0")
            for alpha in (0, 1.1, -1, True, "0.5", float("nan"))
        ),
    ]
    for call, message in cases:
        with pytest.raises(mcprun.UsageError, match=re.escape(message)):
            call()
