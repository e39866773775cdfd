"""A closed terminal and the signals that end a command: nothing is lost, and the exit code names the signal."""

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
"""Makes stdin the controlling terminal of a new session, and becomes mcprun."""

SILENT = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)\n"
"""A server that tells its process id, never answers, and does not notice the end of its stdin."""


@contextmanager
def terminal(*args: str | Path, cwd: Path, nohup: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command on a terminal of its own, and give its process and our side of the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ATTACH, "nohup" if nohup else "", *map(str, args)],
        cwd=cwd, env=clean_environment() | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()


def read_until(ours: int, word: bytes) -> None:
    """Read what a command writes to its terminal until a word comes."""
    written = b""
    while word not in written:
        written += os.read(ours, 65536)


@contextmanager
def asked(tmp_path: Path) -> Iterator[tuple[MessagesApi, Callable[[], None], threading.Event]]:
    """Give an API that answers `first` and holds what comes then, what waits for that, and what lets it go."""
    waiting, released = threading.Event(), threading.Event()

    def answer(body: Body) -> Answer:
        if prompt_of(body) != "first":
            waiting.set()
            released.wait(60)
        return text("ok")

    write_jsonl(tmp_path / "p.jsonl", "first", "second", "third")
    with MessagesApi(answer) as api:
        (tmp_path / "mcprun.toml").write_text(f'base-url = "{api.url}"\nmodel = "claude-x"\nconcurrency = 1\n')
        (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=sk-ant-test\n")
        try:
            yield api, lambda: (waiting.wait(60), None)[1], released
        finally:
            released.set()


def test_a_closed_terminal_ends_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    """It exits with 129, though nothing can be printed any more; a resume does what is left."""
    with asked(tmp_path) as (_, wait, released):
        with terminal("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path) as (process, ours):
            wait()
            os.close(ours)
            assert process.wait(60) == 128 + signal.SIGHUP
        assert [one["verdict"] for one in read_jsonl(tmp_path / "run" / "transcripts.jsonl")] == ["passed", "skipped"]
        released.set()
        again = run_mcprun("batch", "--resume", "run", cwd=tmp_path)
    assert (again.code, set(again.verdicts.values()), len(again.verdicts)) == (0, {"passed"}, 3)


def test_a_closed_terminal_is_nothing_to_a_run_under_nohup(tmp_path: Path) -> None:
    """The run goes on to its end, and writes its progress to nowhere."""
    with asked(tmp_path) as (_, wait, released), terminal(
        "batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path, nohup=True
    ) as (process, ours):  # fmt: skip
        wait()
        os.close(ours)
        released.set()
        assert process.wait(60) == 0
    assert [one["verdict"] for one in read_jsonl(tmp_path / "run" / "transcripts.jsonl")] == ["passed"] * 3


def test_a_closed_terminal_ends_a_chat(tmp_path: Path) -> None:
    """At its prompt."""
    with asked(tmp_path), terminal("chat", RAW, cwd=tmp_path) as (process, ours):
        read_until(ours, b"/help")
        os.close(ours)
        assert process.wait(60) == 128 + signal.SIGHUP


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("command", ["tools", "init", "batch"])
def test_a_signal_ends_a_command_while_its_server_starts(tmp_path: Path, command: str, number: signal.Signals) -> None:
    """A server that says nothing is not waited for, nor left behind."""
    os.mkfifo(tmp_path / "pid")
    started = os.open(tmp_path / "pid", os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "silent.py").write_text(SILENT)
    prompts = (
        [write_jsonl(tmp_path / "p.jsonl", {"prompt": "x", "script": [{"text": "y"}]})] if command == "batch" else []
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mcprun", command, *prompts, "silent.py", "--connect-timeout", "60"],
        cwd=tmp_path, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert select.select([started], [], [], 60)[0]
    pid = os.read(started, 100).decode()
    os.close(started)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in stderr) == (128 + number, False)
    assert not Path(f"/proc/{pid}").exists()
