"""Progress on a pseudo-terminal, and interrupts by real signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import (
    QUICKSTART,
    SERVERS,
    Result,
    clean_environment,
    read_jsonl,
    run_mcprun,
    run_of,
    script,
    stdlib_server,
    write_jsonl,
)
from tests.support.messages_api import Answer, Body, MessagesApi, prompt_of, text

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

COMMAND = [sys.executable, "-m", "mcprun"]


def run_on_terminal(*args: str | Path, cwd: Path) -> tuple[int, str]:
    """Run a command on a pseudo-terminal, and return its exit code and its output."""
    parent_fd, child_fd = pty.openpty()
    env = clean_environment() | {"TERM": "xterm-256color"}
    del env["NO_COLOR"]
    process = subprocess.Popen(
        [*COMMAND, *map(str, args)], cwd=cwd, env=env, stdin=child_fd, stdout=child_fd, stderr=child_fd
    )
    os.close(child_fd)
    output = b""
    try:
        while chunk := os.read(parent_fd, 65536):
            output += chunk
    except OSError:  # Linux raises EIO when the other end of a terminal is closed
        pass
    finally:
        os.close(parent_fd)
    return process.wait(60), output.decode()


def test_progress_is_live_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal, a coloured progress bar is shown during the run and erased afterwards.

    Failed queries stay above it.
    """
    good = {"id": "good", "prompt": "x", "script": [{"text": "hi"}]}
    prompts = write_jsonl(tmp_path / "p.jsonl", good, good | {"id": "bad", "expect": {"text": {"contains": "ho"}}})
    code, output = run_on_terminal("batch", prompts, SERVERS / "raw.py", cwd=tmp_path)
    assert code == 1
    assert "━" in output
    assert "\x1b[31mfailed " in output
    assert "passed good" not in output  # on a terminal, a passed query gets no line
    erased = output.rindex("\x1b[2K")  # the bar's line is cleared before the totals are printed
    assert "run time" in output[erased:]


@pytest.mark.parametrize(
    ("second", "colour"),
    [
        ({}, "32"),
        ({"script": [{"calls": [{"tool": "die", "input": {}}]}, {"text": "hi"}]}, "38;5;130"),
        ({"expect": {"text": {"contains": "ho"}}}, "31"),
    ],
    ids=["passed", "error", "failed"],
)
def test_the_progress_bar_has_the_colour_of_the_worst_verdict(
    tmp_path: Path, second: dict[str, object], colour: str
) -> None:
    """The bar is green if all queries passed, amber after an error, and red after a failure.

    The count and the time beside it have no colour.
    """
    query = {"id": "first", "prompt": "x", "script": [{"text": "hi"}]}
    prompts = write_jsonl(tmp_path / "p.jsonl", query, {**query, "id": "second", **second})
    _, output = run_on_terminal("batch", prompts, SERVERS / "raw.py", cwd=tmp_path)
    last = output[: output.rindex("━")].rpartition("\x1b[2K")[2]
    assert last.startswith(f"\x1b[{colour}m━")
    assert re.search(r"━\x1b\[0m 2/2 \x1b\[2m\d:\d\d:\d\d\x1b\[0m ", output)


def test_output_to_a_pipe_with_no_color_is_plain(tmp_path: Path) -> None:
    """With `NO_COLOR` and output to a pipe, there are no escape sequences."""
    done = run_mcprun("batch", *QUICKSTART, cwd=tmp_path)
    assert "\x1b" not in done.stdout + done.stderr


def run_and_interrupt(tmp_path: Path, *numbers: signal.Signals, release: bool = False) -> Result:
    """Run four queries, two at a time, and send signals when the first is done and two are in flight.

    Each signal is sent after the message about the previous one.
    With `release`, the API responds after the last signal.
    """
    waiting, released = threading.Barrier(3), threading.Event()

    def answer(body: Body) -> Answer:
        if prompt_of(body) != "first":
            waiting.wait(60)
            released.wait(60)
        return text("ok")

    prompts = write_jsonl(tmp_path / "p.jsonl", "first", "second", "third", "fourth")
    with MessagesApi(answer) as api:
        env = clean_environment() | {"ANTHROPIC_API_KEY": "sk-ant-test", "ANTHROPIC_BASE_URL": api.url}
        process = subprocess.Popen(
            [*COMMAND, "batch", str(prompts), str(SERVERS / "raw.py"), "--concurrency", "2", "--junit", "j.xml"],
            cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr
        waiting.wait(60)
        content = ""
        for number in numbers:
            process.send_signal(number)
            for line in process.stderr:
                content += line
                if line.startswith(("Stopping", "Ending")):
                    break
        if release:
            released.set()
        stdout, stderr = process.communicate(timeout=60)
        released.set()
    return Result(process.returncode, stdout, content + stderr, run_of(stdout, tmp_path))


def test_the_first_interrupt_lets_queries_in_flight_finish(tmp_path: Path) -> None:
    """After the first Ctrl-C, no query starts, those in flight finish, and the run exits with 130."""
    done = run_and_interrupt(tmp_path, signal.SIGINT, release=True)
    assert (done.code, done.record["state"]) == (130, "interrupted")
    assert [transcript["prompt"] for transcript in done.transcripts] == ["first", "second", "third"]
    assert done.record["counts"]["passed"] == 3
    assert "Stopped early: interrupted by SIGINT. 1 of 4 was not run." in done.stdout
    message = "Stopped early: interrupted by SIGINT. 1 of 4 was not run."
    assert f'<error message="{message}" type="cancelled">' in (tmp_path / "j.xml").read_text()
    assert f"mcprun batch --resume outputs/{done.run.name}" in done.stderr


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ((signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGINT, signal.SIGINT, signal.SIGINT), 130),
        ((signal.SIGTERM,), 143),
        ((signal.SIGHUP,), 129),
    ],
)
def test_cancelling_a_run_keeps_finished_queries(
    tmp_path: Path, numbers: tuple[signal.Signals, ...], code: int
) -> None:
    """A second Ctrl-C, SIGTERM and SIGHUP cancel the queries in flight.

    Finished queries are recorded, and the server exits.
    """
    done = run_and_interrupt(tmp_path, *numbers)
    assert done.code == code
    assert "Traceback" not in done.stderr
    assert [(one["prompt"], one["verdict"], one["stop"]) for one in done.transcripts] == [
        ("first", "passed", "end_turn"), ("second", "skipped", "cancelled"), ("third", "skipped", "cancelled")
    ]  # fmt: skip
    assert re.fullmatch(
        r"the run ended before the query finished: interrupted by SIG\w+; waiting for the model's turn 0 \(for \d+\.\d s\)",
        done.transcripts[1]["error"]["message"],
    )
    assert (done.record["state"], done.record["error"]["kind"]) == ("interrupted", "cancelled")
    assert done.record["counts"]["passed"] == 1
    assert 'tests="4" failures="0" errors="1" ' in (tmp_path / "j.xml").read_text()
    assert f"mcprun batch --resume outputs/{done.run.name}" in done.stderr
    assert done.trace[-1]["event"] == "server_exit"
    cancelled = [event for event in done.trace if event["event"] == "model_call" and "error" in event]
    assert [event["error"] for event in cancelled] == ["cancelled", "cancelled"]


def test_a_closed_output_pipe_does_not_stop_the_run(tmp_path: Path) -> None:
    """If no process reads stdout and stderr, the run completes and exits with 0."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [*COMMAND, "batch", *map(str, QUICKSTART)]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(), stdout=writer, stderr=writer)
    os.close(writer)
    assert process.wait(60) == 0
    assert len(read_jsonl(tmp_path / "outputs" / "latest" / "transcripts.jsonl")) == 6


def test_characters_that_the_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    """Characters that the output encoding lacks are escaped."""
    query = {"id": "umlaut", "prompt": "schön", "script": [{"text": "→ ü"}]}
    prompts = write_jsonl(tmp_path / "p.jsonl", query)
    env = clean_environment() | {"PYTHONIOENCODING": "ascii"}
    for args in (["batch", str(prompts), str(SERVERS / "raw.py")], ["show", "latest", "umlaut"]):
        done = subprocess.run([*COMMAND, *args], cwd=tmp_path, env=env, capture_output=True, check=True, timeout=60)
    assert b"sch\\xf6n" in done.stdout


def test_an_unknown_command_exits_with_2(tmp_path: Path) -> None:
    """An unknown command exits with 2, and `mcprun --help` with 0."""
    assert run_mcprun("--help", cwd=tmp_path).code == 0
    typo = run_mcprun("bacth", cwd=tmp_path)
    assert typo.code == 2
    assert "No such command: bacth. Did you mean batch?" in typo.stderr


EVIL = "\x1b[2J\x07\x7f\x85\x9b31m\u200b\u202e\u2028\ufeff\U000e0001"
"""Control characters of ASCII and C1, and format characters."""


def test_json_for_a_terminal_has_no_control_characters(tmp_path: Path) -> None:
    """JSON escapes them, so that it can be printed, and its values stay the same."""
    server = f"""
server = StdlibServer("s")


@server.tool()
def odd() -> str:
    {EVIL!r}
    return {EVIL!r} + open("n").read()


server.run()
"""
    (tmp_path / "s.py").write_text(stdlib_server(server))
    prompts = write_jsonl(tmp_path / f"{EVIL}.jsonl", script(("odd", {}), id="odd"))
    for name in "12":
        (tmp_path / "n").write_text(name)
        assert run_mcprun("batch", prompts, "s.py", "--out", f"outputs/{name}", cwd=tmp_path).code == 0
    for command in (
        ("diff", "outputs/1", "outputs/2", "--json"),
        ("runs", "--json"),
        ("call", "s.py", "odd", "--json"),
        ("tools", "s.py", "--json"),
    ):
        shown = run_mcprun(*command, cwd=tmp_path).stdout
        unseen = {one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Zl")}
        assert (command[0], unseen) == (command[0], {"\n"})
        lines = shown.splitlines() if command[0] in ("diff", "runs") else [shown]
        assert EVIL in "".join(_texts([json.loads(line) for line in lines]))


def _texts(value: object) -> Iterator[str]:
    """Yield all texts in a JSON value."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value
