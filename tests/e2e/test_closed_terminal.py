"""A closed terminal or a signal ends a command: completed work is kept, and the exit code is 128 plus the signal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cli import RAW, clean_environment, read_jsonl, run_mcprun, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, prompt_of, text

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

ATTACH = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, "-m", "mcprun", *sys.argv[2:]])
"""
"""A program that makes stdin the controlling terminal of its session, then executes mcprun."""

SILENT = """
import os, time
from pathlib import Path
Path(__file__).with_name("pid").write_text(str(os.getpid()))
time.sleep(600)
"""
"""A server that writes its process id to `pid` beside its file, never answers and ignores the end of its stdin."""


@contextmanager
def terminal(*args: str | Path, cwd: Path, nohup: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command on a new pseudo-terminal. Yield its process and the controlling side's file descriptor."""
    controller, terminal_fd = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ATTACH, "nohup" if nohup else "", *map(str, args)],
        cwd=cwd, env=clean_environment() | {"TERM": "xterm"}, stdin=terminal_fd, stdout=terminal_fd, stderr=terminal_fd, start_new_session=True,
    )  # fmt: skip
    os.close(terminal_fd)
    try:
        yield process, controller
    finally:
        process.kill()
        process.wait()


def read_until(controller: int, word: bytes) -> None:
    """Read the output of a command from its terminal until it contains `word`."""
    output = b""
    while word not in output:
        output += os.read(controller, 65536)


@contextmanager
def blocking_api(tmp_path: Path) -> Iterator[tuple[MessagesApi, Callable[[], None], threading.Event]]:
    """Serve a stub API that answers the query `first` and blocks on the later ones.

    Yield the API, a function that waits until a request is blocked, and the event that unblocks it.
    """
    blocked, released = threading.Event(), threading.Event()

    def answer(body: Body) -> Answer:
        if prompt_of(body) != "first":
            blocked.set()
            released.wait(60)
        return text("ok")

    write_jsonl(tmp_path / "p.jsonl", "first", "second", "third")
    with MessagesApi(answer) as api:
        (tmp_path / "mcprun.toml").write_text(f'base-url = "{api.url}"\nmodel = "claude-x"\nconcurrency = 1\n')
        (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=sk-ant-test\n")
        try:
            yield api, lambda: (blocked.wait(60), None)[1], released
        finally:
            released.set()


def test_a_closed_terminal_ends_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    """The run exits with 129 although it can no longer print, and `--resume` runs the remaining queries."""
    with blocking_api(tmp_path) as (_, wait_until_blocked, released):
        with terminal("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path) as (process, controller):
            wait_until_blocked()
            os.close(controller)
            assert process.wait(60) == 128 + signal.SIGHUP
        assert [transcript["verdict"] for transcript in read_jsonl(tmp_path / "run" / "transcripts.jsonl")] == [
            "passed",
            "skipped",
        ]
        released.set()
        resumed = run_mcprun("batch", "--resume", "run", cwd=tmp_path)
    assert (resumed.code, set(resumed.verdicts.values()), len(resumed.verdicts)) == (0, {"passed"}, 3)


def test_a_run_under_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    """Under nohup, the run finishes although its progress can no longer be written."""
    with blocking_api(tmp_path) as (_, wait_until_blocked, released), terminal(
        "batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path, nohup=True
    ) as (process, controller):  # fmt: skip
        wait_until_blocked()
        os.close(controller)
        released.set()
        assert process.wait(60) == 0
    assert [transcript["verdict"] for transcript in read_jsonl(tmp_path / "run" / "transcripts.jsonl")] == [
        "passed"
    ] * 3


def test_a_closed_terminal_ends_a_chat_at_its_prompt(tmp_path: Path) -> None:
    """A chat that waits for input exits with 129 when its terminal is closed."""
    with blocking_api(tmp_path), terminal("chat", RAW, cwd=tmp_path) as (process, controller):
        read_until(controller, b"/help")
        os.close(controller)
        assert process.wait(60) == 128 + signal.SIGHUP


@pytest.mark.parametrize("signal_number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["tools", "init", "batch"])
def test_a_signal_ends_a_command_while_its_server_starts(
    tmp_path: Path, command: str, signal_number: signal.Signals
) -> None:
    """A command exits at once with 128 plus the signal, and ends the silent server that it was connecting to."""
    os.mkfifo(tmp_path / "pid")
    pid_fifo = os.open(tmp_path / "pid", os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "silent.py").write_text(SILENT)
    prompts = (
        [write_jsonl(tmp_path / "p.jsonl", {"prompt": "x", "script": [{"text": "y"}]})] if command == "batch" else []
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mcprun", command, *prompts, "silent.py", "--connect-timeout", "60"],
        cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert select.select([pid_fifo], [], [], 60)[0]
    pid = os.read(pid_fifo, 100).decode()
    os.close(pid_fifo)
    process.send_signal(signal_number)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in stderr) == (128 + signal_number, False)
    assert not Path(f"/proc/{pid}").exists()
