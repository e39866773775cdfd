"""The process that evaluates patterns and schemas: its input, its end, and what its end means."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mcprun.errors import ErrorKind
from mcprun.evaluation import bounded
from mcprun.evaluation.bounded import EvaluationError, Schema, evaluated, search
from tests.support.cli import SECONDS, clean_environment
from tests.support.processes import children

if sys.platform != "linux":
    pytest.skip("descriptors of processes, which Linux has", allow_module_level=True)

SLOW = ("^(?:b|(a+)+)$", "a" * 40 + "!")


def worker() -> int:
    """Find the process that evaluates for this one."""
    (found,) = (pid for pid, command in children().items() if "evaluation/worker.py" in command)
    return found


def killed(pid: int) -> None:
    """Kill a process and wait until it is gone."""
    with_end = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([with_end], [], [], SECONDS)[0]
    os.close(with_end)


def test_a_match_and_its_first_group_are_found() -> None:
    """Text is exact, half surrogate pairs and all."""
    assert search("b+", "abbc") == ("bb", "bb")
    assert search("a(b+)", "abbc") == ("abb", "bb")
    assert search("a(x)?b", "ab") == ("ab", None)
    assert search("x", "ab") is None
    assert search("(.)$", "\ud83d\ude00") == ("\ude00", "\ude00")
    assert search("", "ab") == ("", "")


def test_a_process_that_dies_by_itself_is_replaced() -> None:
    """So is one that died while nobody was looking."""
    assert search("a", "a")
    first = worker()
    killed(first)
    assert search("a", "a")
    assert worker() != first


def test_a_process_that_cant_be_started_is_an_error_of_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends nothing but that, and says why."""
    bounded.close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EvaluationError, match=r"process that evaluates patterns failed: .*No such file") as raised:
        search("a", "a")
    assert (raised.value.kind, raised.value.is_timeout) == (ErrorKind.FAULT, False)


def test_it_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment it gets what an interpreter needs to start."""
    bounded.close()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    assert search("a", "a")
    assert "sk-secret" not in Path(f"/proc/{worker()}/environ").read_text(encoding="utf-8")


def test_it_ends_with_its_parent() -> None:
    """Also when that is killed while a match is made."""
    code = (
        f"from mcprun.evaluation.bounded import search; search('a', 'a'); print('ready', flush=True); search(*{SLOW!r})"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate(timeout=SECONDS)  # `conftest.py` fails the test if anything is left


def test_time_runs_out_for_a_pattern_and_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some times it is not tried again; others are, and a schema is told apart from its pattern."""
    monkeypatch.setattr(bounded, "MATCH_SECONDS", 0.05)
    pattern, text = f"{SLOW[0]}(?#given up)", SLOW[1]
    for _ in range(bounded.MAX_TIMEOUTS):
        with pytest.raises(EvaluationError, match=r"the pattern '.*' took longer than 0\.05 s; avoid nested rep"):
            search(pattern, text)
    with pytest.raises(EvaluationError, match="timed out 3 times before and is not evaluated again") as raised:
        search(pattern, "b")
    assert raised.value.kind is ErrorKind.MATCH_TIMEOUT
    assert search("b", "b")
    with pytest.raises(EvaluationError, match=r"the pattern '.*' of the schema took longer than 0\.05 s"):
        Schema({"properties": {"a": {"pattern": "a"}, "b": {"pattern": SLOW[0]}}}, "ecma").outcome(
            {"a": "a", "b": text}
        )


async def test_a_loop_is_not_blocked_meanwhile() -> None:
    """Other tasks go on, and a task that is cancelled is over at once: what it waited for is killed."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    waiting = asyncio.create_task(evaluated(lambda: search(*SLOW)))
    while not any("evaluation/worker.py" in command for command in children().values()):  # noqa: ASYNC110  of another process
        await asyncio.sleep(0)
    before = turns
    for _ in range(100):
        await asyncio.sleep(0)
    assert turns > before
    for task in (waiting, counting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert bounded.timed_out()[SLOW[0]] == 0
    assert await evaluated(lambda: search("a", "a"))


async def test_what_takes_long_goes_on_in_a_thread_until_it_is_cancelled() -> None:
    """The event loop is free meanwhile, and the thread serves the next one."""
    threads: list[str] = []
    loop, is_running = asyncio.get_running_loop(), asyncio.Event()

    def endless() -> None:
        threads.append(threading.current_thread().name)
        bounded.checkpoint()
        loop.call_soon_threadsafe(is_running.set)
        while True:
            bounded.checkpoint()

    task = asyncio.create_task(evaluated(endless))
    await is_running.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert [threading.main_thread().name, "evaluation_0"] == threads
    await evaluated(bounded.checkpoint)


async def test_what_needs_no_process_is_done_at_once() -> None:
    """A schema of little work has none; a function that fails, fails for its caller."""
    schema = Schema({"type": "object", "properties": {"a": {"type": "integer"}}}, "ecma")
    outcome = await evaluated(lambda: schema.outcome({"a": "x"}))
    assert str(outcome.problem) == "at $.a: 'x' is not of type 'integer'"
    assert not any("evaluation/worker.py" in command for command in children().values())

    def fail() -> Any:
        search("a", "a")
        raise LookupError("as it should")

    with pytest.raises(LookupError, match="as it should"):
        await evaluated(fail)


def test_values_that_no_frame_can_hold_are_an_error() -> None:
    """They are nested more deeply than anything a server or a file may send."""
    value: Any = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(EvaluationError, match="nested too deeply"):
        Schema({"pattern": "a"}, "ecma").outcome(value)
    assert Schema({"pattern": "a"}, "ecma").outcome("a").problem is None


def test_a_fork_has_a_process_of_its_own() -> None:
    """It does not share the pipes of its parent's."""
    assert search("a", "a")
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if search("a(b)", "ab") == ("ab", "b") else 1
            bounded.close()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert search("a", "ba")
