"""A run on Ray actors has the same transcripts as a local run, whichever actor dies."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.run_stop import RunStop
from mcprun.client.target import HttpTarget
from mcprun.engine.ray.messages import WorkerMessage
from mcprun.engine.ray.worker import RemoteWorker
from mcprun.engine.run_context import RunContext
from mcprun.engine.skipped_transcripts import skipped_transcript
from mcprun.engine.worker_config import WorkerConfig
from mcprun.errors import ErrorKind, RunError
from mcprun.limits import Limits
from mcprun.models.access_policy import RunAccess
from mcprun.models.credentials import Credentials
from mcprun.models.select import choose
from mcprun.prompts.query import Query
from mcprun.runs.events import Emit, Event, ModelCall
from mcprun.runs.totals import BilledReply
from mcprun.runs.transcript import Transcript, Usage
from tests.support.cli import QUICKSTART, RAW, Result, clean_environment, run_mcprun, script, write_jsonl
from tests.support.growing_server import GROWING_SERVER
from tests.support.loopback import free_port
from tests.support.messages_api import Body, MessagesApi, error, text
from tests.support.raycluster import ENVIRONMENT, cluster

SERVER = """
import contextlib, json, os, signal, sys
from mcp.server import MCPServer
server = MCPServer("says")

def actors():
    with open(sys.argv[1]) as trace:
        return [event["pid"] for event in map(json.loads, trace) if event["event"] == "actor_start"]

@server.tool()
def say(word: str) -> str:
    print(f"heard {word}", file=sys.stderr, flush=True)
    if word == "kill":
        doomed = actors()[:1]
    elif word == "poison":
        doomed = actors()
    else:
        doomed = []
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return word
server.run()
"""
"""A server whose argument is the run's trace. `kill` kills the first actor in it, `poison` all of them."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start a Ray cluster of two CPUs, and yield its address."""
    with cluster() as running_cluster:
        yield running_cluster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that contains the server."""
    (tmp_path / "says.py").write_text(SERVER)
    return tmp_path


def queries(folder: Path, *words: str) -> None:
    """Write a prompts file with one query per word."""
    write_jsonl(folder / "p.jsonl", *(script(("say", {"word": word}), id=f"{n}") for n, word in enumerate(words)))


def batch(folder: Path, out: str, *flags: Any, env: dict[str, str] | None = None) -> Result:
    """Run the queries, and pass the run's own trace to the server."""
    command = ("batch", "p.jsonl", "says.py", "--out", out, *map(str, flags), "--", f"{out}/trace.jsonl")
    return run_mcprun(*command, cwd=folder, env=ENVIRONMENT | (env or {}))


def run_on_ray(folder: Path, address: str, *flags: Any) -> Result:
    """Run the queries on two actors."""
    return batch(folder, "rayed", "--ray", address, "--ray-actors", "2", *flags)


def events(done: Result, name: str) -> list[dict[str, Any]]:
    """Return the trace events with this name."""
    return [event for event in done.trace if event["event"] == name]


def test_a_killed_actor_costs_a_retry(folder: Path) -> None:
    """If one of 1,000 queries kills an actor, the transcripts equal those of a local run, and a warning names the actor.

    Without an address, `--ray` starts a local cluster that ends with the run.
    """
    queries(folder, *("kill" if number == 500 else f"w{number}" for number in range(1000)))
    done = batch(folder, "rayed", "--ray", "--ray-actors", "2")
    assert (done.code, done.record["counts"]["passed"]) == (0, 1000)
    assert done.bytes == batch(folder, "plain").bytes
    first, *_ = actors = events(done, "actor_start")
    (warning,) = [event["message"] for event in events(done, "warning") if "died" in event["message"]]
    assert warning.startswith(f"actor {first['actor']} (process {first['pid']} on {first['node']}) died; ")
    started = [event["server"] for event in events(done, "server_start")]
    assert len(set(started)) == len(started) == len(actors)
    assert not any(Path(f"/proc/{actor['pid']}").exists() for actor in actors)


def test_a_replay_on_actors_equals_a_local_replay(folder: Path, address: str) -> None:
    """A replay on actors has the same transcripts as a local one, and each `log_offset` points to its call's stderr."""
    queries(folder, *(f"w{number}" for number in range(40)))
    batch(folder, "plain")
    done = run_on_ray(folder, address, "--model", "replay:plain", "--concurrency", "2", "--on-divergence", "fail")
    assert done.code == 0
    assert done.bytes == batch(folder, "again", "--model", "replay:plain", "--on-divergence", "fail").bytes
    log = (done.run / "server.log").read_bytes()
    calls = events(done, "tool_call")
    assert len(calls) == 40
    assert {event["server"] for event in calls} == {1, 2}
    assert all(log[event["log_offset"] :].startswith(f"heard {event['input']['word']}\n".encode()) for event in calls)


def test_tools_of_the_servers_of_all_actors_add_up(tmp_path: Path, address: str) -> None:
    """`run.json` holds the tools that any actor's server listed, at its start or later, and all of them count."""
    (tmp_path / "server.py").write_text(GROWING_SERVER)
    echoes = [script(("echo", {"text": "a"}), id=f"q{number}") for number in range(20)]
    write_jsonl(tmp_path / "p.jsonl", script(("grow", {}), id="grow"), *echoes)
    flags = ("--ray", address, "--ray-actors", "2", "--concurrency", "2", "--min-coverage", "0.9")
    done = run_mcprun("batch", "p.jsonl", "server.py", *flags, cwd=tmp_path, env=ENVIRONMENT)
    server = done.record["server"]
    names = [tool["name"] for tool in (*server["tools"], *server["later_tools"])]
    assert {"start_1", "start_2"} < {*names}
    assert any(name.startswith("grown_") for name in names)
    assert (done.code, done.record["coverage"]["outcome"]["tools"]) == (1, len(set(names)))


def test_a_query_that_kills_three_actors_is_an_error(folder: Path, address: str) -> None:
    """A query that kills its actor three times in a row is an error, and every other query passes."""
    queries(folder, "one", "two", "poison", *(f"w{number}" for number in range(40)))
    done = run_on_ray(folder, address)
    assert done.code == 3
    assert [name for name, verdict in done.verdicts.items() if verdict != "passed"] == ["2"]
    assert "(raylet)" not in done.stdout + done.stderr  # Ray prefixes its own messages with this
    reported = done.transcripts[2]
    assert (reported["verdict"], reported["stop"]) == ("error", "error")
    assert reported["error"] == {"kind": "server_died", "message": "the actor that ran the query died 3 times in a row"}


class StubSlot:
    """An actor slot whose first `dead` calls raise `RayActorError`. Later calls succeed."""

    def __init__(self, dead: int, *, takes: bool = False) -> None:
        self.number, self.in_flight, self.server, self.events = 1, 0, "there", ()
        self.actor = self.run = self.merger = self
        self.take: Any = self
        self._dead, self._takes = dead, takes

    async def ready(self) -> None:
        """Return at once, as if the actor had started."""

    def dismiss(self) -> None:
        """Ignore that the dead actor is discarded."""

    def __call__(self, items: object) -> None:
        """Ignore merged events."""

    async def remote(self, *query: Any) -> WorkerMessage:
        """Accept a query if called without arguments, else run it. Raise if the actor is dead at this step."""
        from ray.exceptions import RayActorError

        if self._dead and bool(query) is self._takes:
            self._dead -= 1
            raise RayActorError
        done = (
            skipped_transcript(query[0], 1, RunError(ErrorKind.CANCELLED, ""), system=None, model="m")
            if query
            else None
        )
        return WorkerMessage((), done, None)


def context(emit: Emit, limits: Limits) -> RunContext:
    """Build a run context without what only running a query needs."""
    choice, run_stop = choose("script", Credentials(), all_scripted=True), RunStop()
    return RunContext(
        config=WorkerConfig(target=HttpTarget("http://h/mcp"), model=choice, limits=limits),
        log=cast("Any", None),
        emit=emit,
        run_stop=run_stop,
        access=RunAccess(run_stop),
    )


@pytest.mark.parametrize(("dead", "takes", "is_lost"), [(5, False, False), (2, True, False), (3, True, True)])
async def test_an_attempt_counts_once_an_actor_has_accepted_the_query(dead: int, takes: bool, is_lost: bool) -> None:
    """Actors that die before they accept a query do not count. A query that kills a third accepting actor is an error."""
    from mcprun.engine.ray.run import ActorPool

    pool = ActorPool(context(lambda _: None, limits=Limits(restarts=9)), 0)
    pool._slots = cast("Any", [StubSlot(dead, takes=takes)])
    done = await pool.run(Query(id="a", prompt="?"), 1)
    assert done.error
    assert is_lost == ("3 times in a row" in done.error.message)


async def test_a_query_that_is_cancelled_before_its_first_step_is_skipped() -> None:
    """A query that an actor receives together with the end of the run is skipped."""

    async def run(_: Query, __: int) -> Transcript:
        raise AssertionError

    worker = RemoteWorker(context(lambda _: None, Limits()).config, ".")
    worker._executor = cast("Any", SimpleNamespace(run=run))
    running = asyncio.create_task(worker.run(Query(id="a", prompt="?"), 1))
    await asyncio.sleep(0)
    await worker.cancel(ErrorKind.SERVER_DIED, "an actor died", "")
    message = await running
    assert message.transcript
    assert message.transcript.verdict == "skipped"


async def test_the_cleanup_of_a_query_on_an_actor_is_bounded() -> None:
    """When the run is cancelled, the cleanups on an actor have as little time as those in the process of the run."""
    worker, has_begun = RemoteWorker(context(lambda _: None, Limits()).config, "."), asyncio.Event()
    worker._run_stop.has_started = True

    async def run(_: Query, __: int) -> Transcript:
        try:
            has_begun.set()
            await asyncio.Event().wait()
        finally:
            await worker._run_stop.outlive(cast("Any", asyncio.Event().wait()), 0.0)
        raise AssertionError

    worker._executor = cast("Any", SimpleNamespace(run=run))
    running = asyncio.create_task(worker.run(Query(id="a", prompt="?"), 1))
    await has_begun.wait()
    await worker.cancel(ErrorKind.CANCELLED, "interrupted", "")
    message = await running
    assert message.transcript
    assert message.transcript.verdict == "skipped"


def test_a_run_that_exceeded_its_restarts_is_resumed(folder: Path, address: str) -> None:
    """With `--restarts 0`, a dead actor ends the run, and a resume completes it with the transcripts of a local run."""
    queries(folder, *("kill" if number == 20 else f"w{number}" for number in range(60)))
    interrupted = run_on_ray(folder, address, "--restarts", "0")
    assert (interrupted.code, interrupted.record["error"]["kind"]) == (3, "server_died")
    assert "more actors died than --restarts 0 allows: " in interrupted.stderr
    assert 0 < interrupted.record["counts"]["passed"] < 60
    resumed = run_mcprun("batch", "--resume", "rayed", cwd=folder, env=ENVIRONMENT)
    assert (resumed.code, resumed.bytes) == (0, batch(folder, "plain").bytes)


def run_on_two_actors(folder: Path, api: MessagesApi, address: str, *flags: Any, number: int) -> Result:
    """Run `number` queries against the API, with two actors and a concurrency of two."""
    write_jsonl(folder / "p.jsonl", *({"id": f"{n}", "prompt": f"Query {n}."} for n in range(number)))
    command = ("batch", "p.jsonl", RAW, "--ray", address, "--ray-actors", "2", "--concurrency", "2", *flags)
    env = ENVIRONMENT | {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
    return run_mcprun(*command, cwd=folder, env=env)


def test_throttling_one_actor_pauses_the_other(tmp_path: Path, address: str) -> None:
    """While one actor waits for `retry-after`, the other sends at most the requests that were already in flight."""
    lock, prompts_received = threading.Lock(), list[str]()

    def answer(body: Body) -> Any:
        prompt = json.dumps(body["messages"])
        with lock:
            prompts_received.append(prompt)
            is_throttled = len(prompts_received) == 10
        threading.Event().wait(0.02)  # simulated response time
        return error(429, "rate_limit_error", "Slow", headers={"retry-after": "2"}) if is_throttled else text("ok")

    with MessagesApi(answer) as api:
        done = run_on_two_actors(tmp_path, api, address, number=80)
    assert (done.code, len(prompts_received)) == (0, 81)
    refused = prompts_received[9]
    assert prompts_received.count(refused) == 2
    assert len(prompts_received[10 : prompts_received.index(refused, 10)]) <= 3  # all 40 without the pause


def test_a_rejected_api_key_ends_the_run(tmp_path: Path, address: str) -> None:
    """A rejected key is reported once and without the key, and every query is skipped."""
    with MessagesApi(lambda _: error(401, "authentication_error", "invalid x-api-key: sk-ant-test")) as api:
        done = run_on_two_actors(tmp_path, api, address, number=20)
    assert (done.code, done.record["error"]["kind"]) == (3, "api_refused")
    assert done.stderr.count("the API refused the key: 401") == 1
    assert "sk-ant-test" not in done.stderr
    assert set(done.verdicts.values()) == {"skipped"}


def test_refusals_after_a_success_are_counted_over_all_actors(tmp_path: Path, address: str) -> None:
    """A single refusal fails its query only. Three in a row end the run, and `--resume` runs them again."""
    refused = {"Query 3.", "Query 9.", "Query 10.", "Query 11."}

    def answer(body: Body) -> Any:
        return error(403, "permission_error", "No") if body["messages"][0]["content"] in refused else text("ok")

    with MessagesApi(answer) as api:
        env = ENVIRONMENT | {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        write_jsonl(tmp_path / "p.jsonl", *({"id": f"{n}", "prompt": f"Query {n}."} for n in range(20)))
        flags = ("--ray", address, "--ray-actors", "1", "--concurrency", "1", "--out", "run")
        done = run_mcprun("batch", "p.jsonl", RAW, *flags, cwd=tmp_path, env=env)
        expected = ["passed"] * 3 + ["error"] + ["passed"] * 5 + ["error"] * 3 + ["skipped"] * 8
        assert (done.code, list(done.verdicts.values())) == (3, expected)
        assert done.record["again"] == [["10", 1], ["11", 1], ["9", 1]]
        refused.clear()
        resumed = run_mcprun("batch", "--resume", "run", cwd=tmp_path, env=env)
    assert (resumed.code, [one for one, verdict in resumed.verdicts.items() if verdict != "passed"]) == (3, ["3"])


def test_a_token_budget_covers_all_actors_and_earlier_processes() -> None:
    """The budget counts tokens of all actors and of earlier processes of the run, and stops the run once it is spent."""
    from mcprun.engine.ray.run import count_costs

    received: list[Event] = []
    usage = Usage(input_tokens=5, output_tokens=5)
    run = replace(context(received.append, Limits(budget_tokens=30)), billed_replies=[BilledReply("m", usage)])
    run.run_stop.has_started = True
    emit = count_costs(run)
    reply = ModelCall(model="m", stop_reason="end_turn", usage=usage)
    emit(reply)
    emit(ModelCall(model="m", error="api_error: none"))
    assert run.run_stop.reason is None
    emit(reply)
    assert run.run_stop.reason
    assert str(run.run_stop.reason) == "the run has spent 30 of 30 tokens (--budget-tokens)"
    assert len(received) == 3


@given(st.integers(40, 300), st.integers(1, 40), st.integers(1, 40))
def test_concurrency_and_servers_are_divided_among_actors(concurrency: int, servers: int, of: int) -> None:
    """The shares add up to the total, differ by at most one, and include at least one server each."""
    from mcprun.engine.ray.run import part

    model = choose("script", Credentials(), all_scripted=True)
    whole = WorkerConfig(
        target=HttpTarget("http://localhost/mcp"), model=model, limits=Limits(concurrency=concurrency), servers=servers
    )
    parts = [part(whole, number, of) for number in range(1, of + 1)]
    shares = [one.limits.concurrency for one in parts]
    assert sum(shares) == concurrency
    assert max(shares) - min(shares) <= 1
    assert sum(one.servers for one in parts) == max(servers, of)
    assert pickle.loads(pickle.dumps(parts[0])).target == whole.target


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--ray", "p.jsonl"], "--ray p.jsonl: not the address of a Ray cluster; use HOST:PORT, auto or local"),
        (["--ray", f"127.0.0.1:{free_port()}"], "no Ray cluster at 127.0.0.1:"),
        (["--ray", "--otel"], "--otel and --ray cannot be combined: spans are exported from one process only"),
        (
            ["--ray", "--batch-api", "--model", "m"],
            "--batch-api and --ray cannot be combined: batches are sent from one process only",
        ),
        (["--ray-actors", "2"], "--ray-actors needs --ray"),
    ],
)
def test_invalid_ray_options_are_usage_errors(tmp_path: Path, flags: list[str], expected: str) -> None:
    """Invalid combinations are rejected before a run is created."""
    done = run_mcprun("batch", *QUICKSTART, *flags, cwd=tmp_path)
    assert (done.code, done.stderr.startswith(f"Error: {expected}")) == (2, True)
    assert not (tmp_path / "outputs").exists()


def test_a_port_without_a_ray_cluster_times_out(tmp_path: Path) -> None:
    """If a port accepts connections but is not Ray, connecting ends after `--connect-timeout`."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = run_mcprun("batch", *QUICKSTART, "--ray", address, "--connect-timeout", "2", cwd=tmp_path)
    assert (done.code, done.record["error"]["kind"]) == (3, "connect_timeout")
    assert f"no Ray cluster answered at {address} within 2 s (--connect-timeout)" in done.stderr


def test_a_missing_ray_is_a_usage_error(tmp_path: Path) -> None:
    """`--ray` without the package is rejected before anything runs, and the message names what to install."""
    program = "import sys; sys.modules['ray'] = None; from mcprun.cli import main; main()"
    command = [sys.executable, "-c", program, "batch", *map(str, QUICKSTART), "--ray"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: --ray needs Ray: pip install 'mcprun[ray]'\n")
