"""Servers that die are detected at once and restarted, and leave no process behind."""

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


def test_query_that_kills_the_server_is_the_only_error(tmp_path: Path) -> None:
    """At concurrency 16, the query that kills the server is an error, and the 49 others pass."""
    queries = [script(("ok", {}), ("ok", {})) | {"id": f"q{number}"} for number in range(50)]
    queries[20]["script"] = [{"calls": [{"tool": "die"}]}]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, "--concurrency", "16", cwd=tmp_path)
    assert done.code == 3
    assert {name for name, verdict in done.verdicts.items() if verdict != "passed"} == {"q20"}
    assert done.transcripts[20]["error"]["kind"] == "server_died"
    assert len(done.transcripts) == 50


def test_used_up_restarts_end_the_run(tmp_path: Path) -> None:
    """The run stops and says so, and no query that was not run counts as passed."""
    queries = [script(("die", {})) | {"id": f"q{number}"} for number in range(9)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, "--restarts", "4", "--concurrency", "1", cwd=tmp_path)
    assert done.code == 3
    assert "the server died again after 4 restarts, the limit set by --restarts" in done.stderr
    assert "passed" not in done.verdicts.values()
    assert done.record["error"]["kind"] == "server_died"


def test_calls_lost_with_their_server_are_one_error(tmp_path: Path) -> None:
    """All calls of the turn fail, the query has one error, and asyncio logs no warning."""
    turn = {"calls": [{"tool": "hang"}, {"tool": "die"}, {"tool": "hang"}]}
    prompts = write_jsonl(tmp_path / "p.jsonl", {"id": "q", "prompt": "x", "script": [turn, {"text": "ok"}]})
    done = run_mcprun("batch", prompts, RAW, "--restarts", "2", cwd=tmp_path)
    assert (done.verdicts["q"], done.transcripts[0]["error"]["kind"]) == ("error", "server_died")
    ended = [event["problem"] for event in done.trace if event["event"] == "tool_call"]
    assert ended == ["server_died"] * 3 * 3
    assert [event["message"] for event in done.trace if event["event"] == "sdk_log"] == []


@pytest.mark.parametrize("flags", [[], ["--servers", "2"]])
def test_queries_pass_although_the_server_keeps_dying(tmp_path: Path, flags: list[str]) -> None:
    """A server that exits with every 25th call interrupts queries, all of which pass when they are retried."""
    queries = [script(("ok", {}), ("ok", {})) | {"id": f"q{number}"} for number in range(60)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    done = run_mcprun("batch", prompts, RAW, *flags, "--restarts", "99", "--", "dies-at-25", cwd=tmp_path)
    assert (done.code, set(done.verdicts.values()), len(done.transcripts)) == (0, {"passed"}, 60)
    assert len([event for event in done.trace if event["event"] == "server_start"]) > 4


def test_query_is_retried_alone(tmp_path: Path) -> None:
    """While a query whose server died is retried, no other query uses that server."""
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


def test_replaced_server_exits_before_the_run_ends(tmp_path: Path) -> None:
    """The run waits for the exit of a server that closed stdout, and records it.

    Meanwhile it continues with another server.
    """
    conversations = {tool: [calls((tool, {})), text("Done.")] for tool in ("die", "ok")}
    with MessagesApi(scripted(conversations)) as api:  # mcprun detects the closed stdout during the model call
        done = ask(tmp_path, api, RAW, "--concurrency", "1", "--", "withdraws", queries=("die", "ok"))
    assert (done.code, set(done.verdicts.values())) == (0, {"passed"})
    started, ended = (
        {(event["server"], event.get("died")) for event in done.trace if event["event"] == name}
        for name in ("server_start", "server_exit")
    )
    assert (started, ended) == ({(1, None), (2, None)}, {(1, True), (2, False)})
    assert "Traceback" not in done.stderr


@pytest.fixture
def short_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten each step of a server's shutdown to 0.2 s."""
    monkeypatch.setattr("mcprun.client.transports.process._EXIT_SECONDS", 0.2)


@pytest.mark.usefixtures("short_shutdown")
@pytest.mark.parametrize("fresh", [False, True])
async def test_dead_server_is_closed_with_its_replacements(tmp_path: Path, fresh: bool) -> None:
    """The pool closes each dead server, including the first one of a pool that starts a fresh server for each query."""
    target = StdioTarget("raw", sys.executable, (str(RAW), "withdraws"))
    log, events = ServerLog(tmp_path / "server.log", Redactor(), 1000), list[Event]()
    connector = Connector(target, log, events.append, ConnectOptions(timeout_s=30.0, max_bytes=10_000))
    async with ServerPool(connector, fresh=fresh, restarts=1, emit=events.append) as pool:
        await pool.first.call("die", {}, 30.0)
        while not pool.first.dead:  # noqa: ASYNC110  no event is emitted until all of the server's processes have ended
            await asyncio.sleep(0)
        async with pool.lease() as server:
            assert not server.dead
    assert {event.server for event in events if isinstance(event, ServerExit)} == {1, 2}


def start_supervised(*command: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start a command under the supervisor."""
    line = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), *command]
    return subprocess.Popen(line, env=clean_environment(), **more)


def is_running(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(process: int) -> bool:
    """Wait up to 20 s until a process that is not a child has ended, and return whether it has."""
    deadline = time.monotonic() + 20
    while is_running(process) and time.monotonic() < deadline:
        os.sched_yield()
    return not is_running(process)


linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lets the supervisor adopt the server's daemons"
)


@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("exit 0", 0, "[the server exited with code 0]"),
        ("exit 7", 7, "[the server exited with code 7]"),
        ("kill -9 $$", 137, "[the server was killed by SIGKILL]"),
        ("kill -SEGV $$", 139, "[the server was killed by SIGSEGV]"),
    ],
)
def test_supervisor_reports_how_a_server_ended(command: str, code: int, expected: str) -> None:
    """The supervisor's exit code is the server's, and its stderr describes how the server ended."""
    process = start_supervised("sh", "-c", command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr.decode().strip()) == (code, expected)


def test_supervisor_passes_the_pipes_on() -> None:
    """Input on stdin reaches the server, and its output is passed on until it ends."""
    process = start_supervised("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.communicate(b"hello", timeout=30)[0] == b"hello"


DAEMON = "setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 600' & wait; exit 0"


@linux_only
@pytest.mark.parametrize("end", ["exit", "term", "orphan"])
def test_daemons_of_a_server_are_ended(end: str, tmp_path: Path) -> None:
    """A daemon that ignores SIGTERM ends when the server exits, is terminated, or mcprun is killed by SIGKILL."""
    daemon = DAEMON.replace("wait; exit 0", "read line; exit 0")
    if end == "orphan":
        # The parent that is killed stands for mcprun: it starts the supervisor and waits.
        program = "import os, subprocess, sys; subprocess.run([*sys.argv[1:5], str(os.getpid()), *sys.argv[5:]])"
        line = [sys.executable, "-c", program, sys.executable, "-I", "-S", supervisor.__file__, "sh", "-c", daemon]
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    else:
        process = start_supervised("sh", "-c", daemon, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdin
    daemon_pid = int(process.stdout.readline())
    assert is_running(daemon_pid)
    if end == "exit":
        process.stdin.write(b"\n")
        process.stdin.flush()
    else:
        process.send_signal(signal.SIGTERM if end == "term" else signal.SIGKILL)
    assert wait_until_gone(daemon_pid)
    process.communicate(timeout=30)


@linux_only
def test_killing_mcprun_ends_its_servers(tmp_path: Path) -> None:
    """After SIGKILL of mcprun during a run, no server process remains."""
    prompts = write_jsonl(tmp_path / "p.jsonl", script(("hangs", {})))
    command = [sys.executable, "-m", "mcprun", "batch", str(prompts), str(SERVERS / "stubborn.py")]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stderr=subprocess.DEVNULL)
    pid_file = tmp_path / "stubborn.pid"
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        os.sched_yield()
    process.kill()
    process.wait(30)
    assert wait_until_gone(int(pid_file.read_text()))


def test_supervisor_without_its_parent_starts_nothing(tmp_path: Path) -> None:
    """If mcprun is killed right after it started the supervisor, no server is started."""
    marker = tmp_path / "started"
    no_parent = "1"  # the parent id of an orphan, which mcprun never has
    line = [sys.executable, "-I", "-S", supervisor.__file__, no_parent, "touch", str(marker)]
    assert subprocess.run(line, env=clean_environment(), timeout=30, check=False).returncode == 128 + signal.SIGTERM
    assert not marker.exists()

    # A fixture of every test checks that no process is left.


def test_restarts_limit_applies_to_fresh_servers(tmp_path: Path) -> None:
    """If a server no longer starts, the run ends when the restarts are used up, instead of failing every query."""
    once = "import pathlib, runpy, sys\nnote = pathlib.Path('started')\nif note.exists(): sys.exit('no more')\n"
    (tmp_path / "once.py").write_text(f"{once}note.touch()\nsys.argv = ['raw']\nrunpy.run_path({str(RAW)!r})\n")
    queries = [script(("ok", {})) | {"id": f"q{number}"} for number in range(9)]
    prompts = write_jsonl(tmp_path / "p.jsonl", *queries)
    flags = ("--fresh-server", "--concurrency", "1", "--restarts", "3")
    done = run_mcprun("batch", prompts, "once.py", *flags, cwd=tmp_path)
    assert (done.code, list(done.verdicts.values())) == (3, ["passed"] + ["error"] * 3 + ["skipped"] * 5)
