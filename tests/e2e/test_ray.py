"""Queries spread over the actors of a Ray cluster give the same run, whichever actor dies."""

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
from mcprun.engine.skipped import skipped_transcript
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
"""Its argument is a trace. At `kill`, it kills the first actor of that; at `poison`, all of them."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two CPUs."""
    with cluster() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the server."""
    (tmp_path / "says.py").write_text(SERVER)
    return tmp_path


def queries(folder: Path, *words: str) -> None:
    """Write a query for each word."""
    write_jsonl(folder / "p.jsonl", *(script(("say", {"word": word}), id=f"{n}") for n, word in enumerate(words)))


def batch(folder: Path, out: str, *flags: Any, env: dict[str, str] | None = None) -> Result:
    """Run them, and have the server look into the run's own trace."""
    command = ("batch", "p.jsonl", "says.py", "--out", out, *map(str, flags), "--", f"{out}/trace.jsonl")
    return run_mcprun(*command, cwd=folder, env=ENVIRONMENT | (env or {}))


def on_ray(folder: Path, address: str, *flags: Any) -> Result:
    """Run them with two actors."""
    return batch(folder, "rayed", "--ray", address, "--ray-actors", "2", *flags)


def events(done: Result, name: str) -> list[dict[str, Any]]:
    """Give the events of a kind."""
    return [event for event in done.trace if event["event"] == name]


def test_an_actor_that_is_killed_costs_a_retry(folder: Path) -> None:
    """Of a thousand queries, one kills an actor in the middle: the same bytes, each query once, and it is told.

    Without an address, the cluster is one of this machine, which ends with the run.
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


def test_a_recording_is_played_back(folder: Path, address: str) -> None:
    """A replay has the same meaning as in one process; what an event says of `server.log` is so."""
    queries(folder, *(f"w{number}" for number in range(40)))
    batch(folder, "plain")
    done = on_ray(folder, address, "--model", "replay:plain", "--concurrency", "2", "--on-divergence", "fail")
    assert done.code == 0
    assert done.bytes == batch(folder, "again", "--model", "replay:plain", "--on-divergence", "fail").bytes
    log = (done.run / "server.log").read_bytes()
    calls = events(done, "tool_call")
    assert len(calls) == 40
    assert {event["server"] for event in calls} == {1, 2}
    assert all(log[event["log_offset"] :].startswith(f"heard {event['input']['word']}\n".encode()) for event in calls)


def test_a_query_that_kills_its_actor_ends(folder: Path, address: str) -> None:
    """It is an error after its third actor, and takes nobody with it."""
    queries(folder, "one", "two", "poison", *(f"w{number}" for number in range(40)))
    done = on_ray(folder, address)
    assert done.code == 3
    assert [name for name, verdict in done.verdicts.items() if verdict != "passed"] == ["2"]
    assert "(raylet)" not in done.stdout + done.stderr  # Ray's own messages are not ours
    reported = done.transcripts[2]
    assert (reported["verdict"], reported["stop"]) == ("error", "error")
    assert reported["error"] == {"kind": "server_died", "message": "the actor that ran the query died 3 times in a row"}


class StandIn:
    """A hand whose actor is dead, which shows only when it is called, so many times; then it answers."""

    def __init__(self, dead: int, *, takes: bool = False) -> None:
        self.number, self.in_flight, self.server, self.events = 1, 0, "there", ()
        self.actor = self.run = self.merger = self
        self.take: Any = self
        self._dead, self._takes = dead, takes

    async def ready(self) -> None:
        """Be there."""

    def dismiss(self) -> None:
        """Be started anew."""

    def __call__(self, items: object) -> None:
        """Be told what an actor has told."""

    async def remote(self, *query: Any) -> WorkerMessage:
        """Take a query, or run it."""
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
    """Make what a run shares, with nothing that is needed to run a query."""
    choice, run_stop = choose("script", Credentials(), all_scripted=True), RunStop()
    return RunContext(
        config=WorkerConfig(target=HttpTarget("http://h/mcp"), model=choice, limits=limits),
        log=cast("Any", None),
        emit=emit,
        run_stop=run_stop,
        access=RunAccess(run_stop),
    )


@pytest.mark.parametrize(("dead", "takes", "is_lost"), [(5, False, False), (2, True, False), (3, True, True)])
async def test_a_try_counts_once_an_actor_has_taken_the_query(dead: int, takes: bool, is_lost: bool) -> None:
    """However many were dead before; what kills the third that has taken it is an error."""
    from mcprun.engine.ray.run import ActorPool

    pool = ActorPool(context(lambda _: None, limits=Limits(restarts=9)), 0)
    pool._slots = cast("Any", [StandIn(dead, takes=takes)])
    done = await pool.run(Query(id="a", prompt="?"), 1)
    assert done.error
    assert is_lost == ("3 times in a row" in done.error.message)


async def test_a_query_that_is_cancelled_before_its_first_step_is_skipped() -> None:
    """An actor may get a query and the end of the run in one step of its event loop."""

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


def test_a_run_whose_actor_may_not_die_is_resumed(folder: Path, address: str) -> None:
    """With no restart left it ends, with what was done; what goes on ends as if nothing had happened."""
    queries(folder, *("kill" if number == 20 else f"w{number}" for number in range(60)))
    cut = on_ray(folder, address, "--restarts", "0")
    assert (cut.code, cut.record["error"]["kind"]) == (3, "server_died")
    assert "more actors died than --restarts 0 allows: " in cut.stderr
    assert 0 < cut.record["counts"]["passed"] < 60
    resumed = run_mcprun("batch", "--resume", "rayed", cwd=folder, env=ENVIRONMENT)
    assert (resumed.code, resumed.bytes) == (0, batch(folder, "plain").bytes)


def asked(folder: Path, api: MessagesApi, address: str, *flags: Any, number: int) -> Result:
    """Ask the API so many queries, with two actors and two in flight."""
    write_jsonl(folder / "p.jsonl", *({"id": f"{n}", "prompt": f"Query {n}."} for n in range(number)))
    command = ("batch", "p.jsonl", RAW, "--ray", address, "--ray-actors", "2", "--concurrency", "2", *flags)
    env = ENVIRONMENT | {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
    return run_mcprun(*command, cwd=folder, env=env)


def test_what_throttles_one_actor_holds_the_other(tmp_path: Path, address: str) -> None:
    """While one waits as long as the API asks, the other sends nothing but what it was about to."""
    lock, order = threading.Lock(), list[str]()

    def answer(body: Body) -> Any:
        prompt = json.dumps(body["messages"])
        with lock:
            order.append(prompt)
            is_throttled = len(order) == 10
        threading.Event().wait(0.02)  # the API's own time to answer
        return error(429, "rate_limit_error", "Slow", headers={"retry-after": "2"}) if is_throttled else text("ok")

    with MessagesApi(answer) as api:
        done = asked(tmp_path, api, address, number=80)
    assert (done.code, len(order)) == (0, 81)
    refused = order[9]
    assert order.count(refused) == 2
    assert len(order[10 : order.index(refused, 10)]) <= 3  # alone, the other would have asked all of its forty


def test_an_api_that_refuses_the_key_ends_the_run(tmp_path: Path, address: str) -> None:
    """There is one message for the run, and no key in it; no query is taken for tried."""
    with MessagesApi(lambda _: error(401, "authentication_error", "invalid x-api-key: sk-ant-test")) as api:
        done = asked(tmp_path, api, address, number=20)
    assert (done.code, done.record["error"]["kind"]) == (3, "api_refused")
    assert done.stderr.count("the API refused the key: 401") == 1
    assert "sk-ant-test" not in done.stderr
    assert set(done.verdicts.values()) == {"skipped"}


def test_refusals_after_a_success_are_counted_over_all_actors(tmp_path: Path, address: str) -> None:
    """One prompt that is refused costs no other one; three in a row end the run, and `--resume` runs them again."""
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
        again = run_mcprun("batch", "--resume", "run", cwd=tmp_path, env=env)
    assert (again.code, [one for one, verdict in again.verdicts.items() if verdict != "passed"]) == (3, ["3"])


def test_a_budget_is_of_the_whole_run() -> None:
    """What all actors have spent counts, and what earlier processes did; then nothing more is started."""
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
def test_actors_share_what_the_run_may_use(concurrency: int, servers: int, of: int) -> None:
    """Nothing is lost, none has two more than another, and each has a server."""
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
def test_what_can_not_be(tmp_path: Path, flags: list[str], expected: str) -> None:
    """It is said before anything runs."""
    done = run_mcprun("batch", *QUICKSTART, *flags, cwd=tmp_path)
    assert (done.code, done.stderr.startswith(f"Error: {expected}")) == (2, True)
    assert not (tmp_path / "outputs").exists()


def test_no_cluster_behind_a_port(tmp_path: Path) -> None:
    """What takes connections and is no Ray is given up after --connect-timeout."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        done = run_mcprun("batch", *QUICKSTART, "--ray", address, "--connect-timeout", "2", cwd=tmp_path)
    assert (done.code, done.record["error"]["kind"]) == (3, "connect_timeout")
    assert f"no Ray cluster answered at {address} within 2 s (--connect-timeout)" in done.stderr


def test_ray_that_is_not_installed(tmp_path: Path) -> None:
    """`--ray` without the package is refused before anything runs, and says what to install."""
    hidden = "import sys; sys.modules['ray'] = None; from mcprun.cli import main; main()"
    command = [sys.executable, "-c", hidden, "batch", *map(str, QUICKSTART), "--ray"]
    done = subprocess.run(command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: --ray needs Ray: pip install 'mcprun[ray]'\n")
