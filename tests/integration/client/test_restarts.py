"""Servers that die are noticed at once and restarted, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mcprun.client.connector import ConnectOptions, Connector
from mcprun.client.pool import ServerPool
from mcprun.client.server_log import ServerLog
from mcprun.client.target import StdioTarget
from mcprun.client.transports import supervisor
from mcprun.runs.events import Event, ServerExit
from mcprun.runs.redaction import Redactor
from tests.support.asking import ask
from tests.support.cli import (
    RAW,
    SERVERS,
    clean_environment,
    run_mcprun,
    script,
    write_jsonl,
)
from tests.support.messages_api import MessagesApi, calls, scripted, text

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def test_one_poisonous_query_among_fifty(tmp_path: Path) -> None:
    """At concurrency 16, one query that kills the server is an error by name, and the 49 others pass."""
    queries = [script(("ok", {}), ("ok", {})) | {"id": f"q{number}"} for number in range(50)]
    queries[20]["script"] = [{"calls": [{"tool": "die"}]}]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, "--concurrency", "16", cwd=tmp_path)
    assert done.code == 3
    assert {name for name, verdict in done.verdicts.items() if verdict != "passed"} == {"q20"}
    assert done.transcripts[20]["error"]["kind"] == "server_died"
    assert len(done.transcripts) == 50


def test_the_budget_of_restarts_ends_the_run(tmp_path: Path) -> None:
    """When the restarts are used up the run stops, says so, and nothing that was not tried is passed."""
    queries = [script(("die", {})) | {"id": f"q{number}"} for number in range(9)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, "--restarts", "4", "--concurrency", "1", cwd=tmp_path)
    assert done.code == 3
    assert "the server died again after 4 restarts, the limit set by --restarts" in done.stderr
    assert "passed" not in done.verdicts.values()
    assert done.record["error"]["kind"] == "server_died"


def test_calls_that_a_server_takes_down_together_are_one_error(tmp_path: Path) -> None:
    """All calls of the turn fail, the query has one error, and asyncio warns of none."""
    turn = {"calls": [{"tool": "hang"}, {"tool": "die"}, {"tool": "hang"}]}
    prompts = write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "x", "script": [turn, {"text": "ok"}]})
    done = run_mcprun("batch", prompts, RAW, "--restarts", "2", cwd=tmp_path)
    assert (done.verdicts["q"], done.transcripts[0]["error"]["kind"]) == ("error", "server_died")
    ended = [event["problem"] for event in done.trace if event["event"] == "tool_call"]
    assert ended == ["server_died"] * 3 * 3
    assert [event["message"] for event in done.trace if event["event"] == "sdk_log"] == []


@pytest.mark.parametrize("flags", [[], ["--servers", "2"]])
def test_a_server_that_dies_now_and_then_fails_nobody(tmp_path: Path, flags: list[str]) -> None:
    """A server that ends with every 25th call takes queries down, which all pass when they are tried again."""
    queries = [script(("ok", {}), ("ok", {})) | {"id": f"q{number}"} for number in range(60)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, *flags, "--restarts", "99", "--", "dies-at-25", cwd=tmp_path)
    assert (done.code, set(done.verdicts.values()), len(done.transcripts)) == (0, {"passed"}, 60)
    assert len([event for event in done.trace if event["event"] == "server_start"]) > 4


def test_a_query_is_tried_again_alone(tmp_path: Path) -> None:
    """While a query that saw its server die is tried again, no other talks to that server."""
    queries = [script(("ok", {})) | {"id": f"q{number}"} for number in range(8)]
    queries[0]["script"] = [{"calls": [{"tool": "die"}]}]
    done = run_mcprun("batch", write_jsonl(tmp_path / "p.jsonl", *queries), RAW, cwd=tmp_path)
    assert done.verdicts == {"q0": "error"} | {f"q{number}": "passed" for number in range(1, 8)}
    alone: str | None = None
    for event in done.trace:
        if event.get("attempt", 1) > 1 and event["event"] == "model_call":
            assert alone in (None, event["query"])
            alone = event["query"]
        elif event["event"] == "tool_call":
            assert alone in (None, event["query"])
        elif event["event"] == "attempt_end" and event["query"] == alone:
            alone = None
    assert {event["query"] for event in done.trace if event.get("attempt") == 2} > {"q0"}


def test_a_server_that_was_replaced_has_ended_when_the_run_is_over(tmp_path: Path) -> None:
    """One that stops speaking and stays is waited for, and told of, though the run has gone on without it."""
    conversations = {tool: [calls((tool, {})), text("Done.")] for tool in ("die", "ok")}
    with MessagesApi(scripted(conversations)) as api:  # while it is asked, the end of the server's stdout is noticed
        done = ask(tmp_path, api, RAW, "--concurrency", "1", "--", "withdraws", queries=("die", "ok"))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    started, ended = (
        {(event["server"], event.get("died")) for event in done.trace if event["event"] == name}
        for name in ("server_start", "server_exit")
    )
    assert (started, ended) == ({(1, None), (2, None)}, {(1, True), (2, False)})
    assert "Traceback" not in done.stderr


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers a fifth of a second for each step of their shutdown."""
    monkeypatch.setattr("mcprun.client.transports.process._EXIT_SECONDS", 0.2)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("fresh", [False, True])
async def test_a_dead_server_is_closed_with_those_that_took_its_place(tmp_path: Path, fresh: bool) -> None:
    """Also the one that was started to see whether it starts, when each query gets a new one."""
    target = StdioTarget("raw", sys.executable, (str(RAW), "withdraws"))
    log, events = ServerLog(tmp_path / "server.log", Redactor(), 1000), list[Event]()
    connector = Connector(target, log, events.append, ConnectOptions(timeout_s=30.0, max_bytes=10_000))
    async with ServerPool(connector, fresh=fresh, restarts=1, emit=events.append) as pool:
        await pool.first.call("die", {}, 30.0)
        while not pool.first.dead:  # noqa: ASYNC110  nothing tells of it until all of the server has ended
            await asyncio.sleep(0)
        async with pool.lease() as server:
            assert not server.dead
    assert {event.server for event in events if isinstance(event, ServerExit)} == {1, 2}


# What a server leaves behind. ---------------------------------------------------------------------------


def supervised(*command: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start a command under the supervisor."""
    line = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), *command]
    return subprocess.Popen(line, env=clean_environment(), **more)


def is_running(process: int) -> bool:
    """Tell whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(process: int) -> bool:
    """Wait for a process that is not ours to end, for a while."""
    deadline = time.monotonic() + 20
    while is_running(process) and time.monotonic() < deadline:
        os.sched_yield()
    return not is_running(process)


linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")


@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("exit 0", 0, "[the server exited with code 0]"),
        ("exit 7", 7, "[the server exited with code 7]"),
        ("kill -9 $$", 137, "[the server was killed by SIGKILL]"),
        ("kill -SEGV $$", 139, "[the server was killed by SIGSEGV]"),
    ],
)
def test_the_supervisor_tells_how_a_server_ended(command: str, code: int, expected: str) -> None:
    """Its exit code is the server's, and stderr says it in words."""
    process = supervised("sh", "-c", command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr.decode().strip()) == (code, expected)


def test_the_supervisor_hands_the_pipes_on() -> None:
    """What comes on stdin reaches the server, and what it prints comes out, until it ends."""
    process = supervised("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.communicate(b"hello", timeout=30)[0] == b"hello"


DAEMON = "setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 600' & wait; exit 0"


@linux
@pytest.mark.parametrize("end", ["exit", "term", "orphan"])
def test_nothing_is_left_of_a_server(end: str, tmp_path: Path) -> None:
    """A daemon that ignores SIGTERM is gone when the server ends, is ended, or mcprun is killed with -9."""
    daemon = DAEMON.replace("wait; exit 0", "read line; exit 0")
    if end == "orphan":
        # A parent that is killed stands for mcprun: it starts the supervisor and waits.
        starts = "import os, subprocess, sys; subprocess.run([*sys.argv[1:5], str(os.getpid()), *sys.argv[5:]])"
        line = [sys.executable, "-c", starts, sys.executable, "-I", "-S", supervisor.__file__, "sh", "-c", daemon]
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    else:
        process = supervised("sh", "-c", daemon, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdin
    left = int(process.stdout.readline())
    assert is_running(left)
    if end == "exit":
        process.stdin.write(b"\n")
        process.stdin.flush()
    else:
        process.send_signal(signal.SIGTERM if end == "term" else signal.SIGKILL)
    assert wait_until_gone(left)
    process.communicate(timeout=30)


@linux
def test_killing_mcprun_ends_its_servers(tmp_path: Path) -> None:
    """After kill -9 of mcprun in mid-run, no server process is left."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("hangs", {})))
    command = [sys.executable, "-m", "mcprun", "batch", str(prompts), str(SERVERS / "stubborn.py")]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.DEVNULL)
    note = tmp_path / "stubborn.pid"
    deadline = time.monotonic() + 30
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        os.sched_yield()
    process.kill()
    process.wait(30)
    assert wait_until_gone(int(note.read_text()))


# A server whose start is cut short. ----------------------------------------------------------------------


def test_a_supervisor_whose_mcprun_is_gone_starts_nothing(tmp_path: Path) -> None:
    """Killed between starting the supervisor and being known to it, mcprun leaves no server."""
    note = tmp_path / "started"
    no_parent = "1"  # the parent's id that a process has when its parent is gone is never mcprun's
    line = [sys.executable, "-I", "-S", supervisor.__file__, no_parent, "touch", str(note)]
    assert subprocess.run(line, env=clean_environment(), timeout=30, check=False).returncode == 128 + signal.SIGTERM
    assert not note.exists()

    # That nothing is left is what the fixture of every test looks for.


def test_fresh_servers_have_a_budget_too(tmp_path: Path) -> None:
    """A server that stops starting ends the run when the restarts are spent, not one query after the other."""
    once = "import pathlib, runpy, sys\nnote = pathlib.Path('started')\nif note.exists(): sys.exit('no more')\n"
    (tmp_path / "once.py").write_text(f"{once}note.touch()\nsys.argv = ['raw']\nrunpy.run_path({str(RAW)!r})\n")
    queries = [script(("ok", {})) | {"id": f"q{number}"} for number in range(9)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--fresh-server", "--concurrency", "1", "--restarts", "3")
    done = run_mcprun("batch", prompts, "once.py", *flags, cwd=tmp_path)
    assert (done.code, list(done.verdicts.values())) == (3, ["passed"] + ["error"] * 3 + ["skipped"] * 5)
