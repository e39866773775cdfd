"""On a terminal, and interrupted at it: what only shows with a real pty and real signals."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.support.cli import QUICKSTART, SERVERS, Result, clean_environment, run_mcprun, write_jsonl
from tests.support.messages_api import Answer, Body, MessagesApi, prompt_of, text

COMMAND = [sys.executable, "-m", "mcprun"]


def on_a_terminal(*args: str | Path, cwd: Path) -> tuple[int, str]:
    """Run a command on a terminal of its own; give its exit code and all that was written there."""
    ours, theirs = pty.openpty()
    env = clean_environment() | {"TERM": "xterm-256color"}
    del env["NO_COLOR"]
    process = subprocess.Popen(
        [*COMMAND, *map(str, args)], cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # Linux says EIO where the other side of a terminal is closed
        pass
    finally:
        os.close(ours)
    return process.wait(60), written.decode()


def test_progress_is_live_on_a_terminal(tmp_path: Path) -> None:
    """A bar moves while the run goes on, in colour, is gone afterwards, and what failed stays above it."""
    good = {"id": "good", "prompt": "x", "script": [{"text": "hi"}]}
    prompts = write_jsonl(tmp_path / "p.jsonl", good, good | {"id": "bad", "expect": {"text": {"contains": "ho"}}})
    code, written = on_a_terminal("batch", prompts, SERVERS / "raw.py", cwd=tmp_path)
    assert code == 1
    assert "━" in written
    assert "\x1b[31mfailed " in written
    assert "passed good" not in written  # on a terminal only trouble gets a line
    erased = written.rindex("\x1b[2K")  # the bar's line is cleared before the totals are printed
    assert "seconds" in written[erased:]


def test_no_color_is_obeyed(tmp_path: Path) -> None:
    """Neither `NO_COLOR` nor a pipe gets colours."""
    done = run_mcprun("batch", *QUICKSTART, cwd=tmp_path)
    assert "\x1b" not in done.stdout + done.stderr


def interrupted(tmp_path: Path, number: signal.Signals) -> Result:
    """Run three queries, of which the first is answered and the others are waiting when the signal comes."""
    waiting = threading.Barrier(3)

    def answer(body: Body) -> Answer:
        if prompt_of(body) != "first":
            waiting.wait(60)
            api.closed.wait()
        return text("ok")

    prompts = write_jsonl(tmp_path / "p.jsonl", "first", "second", "third")
    with MessagesApi(answer) as api:
        env = clean_environment() | {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        process = subprocess.Popen(
            [*COMMAND, "batch", str(prompts), str(SERVERS / "raw.py"), "--concurrency", "2"],
            cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        waiting.wait(60)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    return Result(process.returncode, stdout, stderr, (tmp_path / "outputs" / "latest").resolve())


def test_an_interrupt_keeps_what_was_done(tmp_path: Path) -> None:
    """Ctrl-C ends the run with 130: what was finished is there, the run says that it was interrupted."""
    done = interrupted(tmp_path, signal.SIGINT)
    assert done.code == 130
    assert "Traceback" not in done.stderr
    assert [transcript["prompt"] for transcript in done.transcripts] == ["first"]
    assert done.record["state"] == "interrupted"
    assert done.record["counts"]["passed"] == 1
    assert [event["event"] for event in done.trace][-1] == "server_exit"


def test_help_tells_every_command(tmp_path: Path) -> None:
    """`mcprun` and `mcprun --help` name the commands; a typo is answered with what there is."""
    shown = run_mcprun("--help", cwd=tmp_path)
    assert shown.code == 0
    assert re.findall(r"^  (\w+)  ", shown.stdout, re.MULTILINE) == ["batch", "show", "validate"]
    typo = run_mcprun("bacth", cwd=tmp_path)
    assert typo.code == 2
    assert "No such command 'bacth'" in typo.stderr
