"""The worker process that evaluates patterns and schemas: its input, its exit and its failures."""

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
from mcprun.evaluation import evaluator
from mcprun.evaluation.evaluator import EvaluationError, Schema, evaluated, search
from tests.support.cli import SECONDS, clean_environment
from tests.support.processes import children

if sys.platform != "linux":
    pytest.skip("descriptors of processes, which Linux has", allow_module_level=True)

SLOW = ("^(?:b|(a+)+)$", "a" * 40 + "!")


def find_worker() -> int:
    """Return the process ID of the worker of this process."""
    (found,) = (pid for pid, command in children().items() if "evaluation/worker.py" in command)
    return found


def kill(pid: int) -> None:
    """Kill a process and wait until it has exited."""
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([pidfd], [], [], SECONDS)[0]
    os.close(pidfd)


def test_search_returns_the_match_and_its_first_group() -> None:
    """`search` returns the match and its first group, with text unchanged, including lone surrogates."""
    assert search("b+", "abbc") == ("bb", "bb")
    assert search("a(b+)", "abbc") == ("abb", "bb")
    assert search("a(x)?b", "ab") == ("ab", None)
    assert search("x", "ab") is None
    assert search("(.)$", "\ud83d\ude00") == ("\ude00", "\ude00")
    assert search("", "ab") == ("", "")


def test_a_worker_that_died_is_replaced() -> None:
    """A worker that died between two searches is replaced by a new one."""
    assert search("a", "a")
    first = find_worker()
    kill(first)
    assert search("a", "a")
    assert find_worker() != first


def test_a_worker_that_cannot_be_started_is_an_error_of_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the worker cannot be started, the search raises an `EvaluationError` that gives the reason."""
    evaluator.close()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EvaluationError, match=r"process that evaluates patterns failed: .*No such file") as raised:
        search("a", "a")
    assert (raised.value.kind, raised.value.is_timeout) == (ErrorKind.FAULT, False)


def test_the_worker_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker gets only the environment variables that an interpreter needs to start."""
    evaluator.close()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    assert search("a", "a")
    assert "sk-secret" not in Path(f"/proc/{find_worker()}/environ").read_text(encoding="utf-8")


def test_the_worker_exits_with_its_parent() -> None:
    """The worker exits even if its parent is killed during a match."""
    code = f"from mcprun.evaluation.evaluator import search; search('a', 'a'); print('ready', flush=True); search(*{SLOW!r})"
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate(timeout=SECONDS)  # `conftest.py` fails the test if a process is left


def test_a_pattern_that_timed_out_several_times_is_not_evaluated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern is not evaluated again after `MAX_TIMEOUTS` timeouts; others are.

    The message for a pattern in a schema names the schema as well.
    """
    monkeypatch.setattr(evaluator, "MATCH_SECONDS", 0.05)
    pattern, text = f"{SLOW[0]}(?#given up)", SLOW[1]
    for _ in range(evaluator.MAX_TIMEOUTS):
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


async def test_the_event_loop_is_not_blocked_during_a_match() -> None:
    """Other tasks run during a match. Cancelling the task that waits for it ends at once and kills the worker."""
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
    assert evaluator.timed_out()[SLOW[0]] == 0
    assert await evaluated(lambda: search("a", "a"))


async def test_a_long_evaluation_runs_in_a_thread_until_it_is_cancelled() -> None:
    """A long evaluation runs in a thread, so that the event loop is free.

    The thread serves the next one after a cancellation.
    """
    threads: list[str] = []
    loop, is_running = asyncio.get_running_loop(), asyncio.Event()

    def endless() -> None:
        threads.append(threading.current_thread().name)
        evaluator.checkpoint()
        loop.call_soon_threadsafe(is_running.set)
        while True:
            evaluator.checkpoint()

    task = asyncio.create_task(evaluated(endless))
    await is_running.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert [threading.main_thread().name, "evaluation_0"] == threads
    await evaluated(evaluator.checkpoint)


async def test_a_cheap_schema_needs_no_worker() -> None:
    """A cheap schema is validated without a worker, and an exception reaches the caller."""
    schema = Schema({"type": "object", "properties": {"a": {"type": "integer"}}}, "ecma")
    outcome = await evaluated(lambda: schema.outcome({"a": "x"}))
    assert str(outcome.problem) == "at $.a: 'x' is not of type 'integer'"
    assert not any("evaluation/worker.py" in command for command in children().values())

    def fail() -> Any:
        search("a", "a")
        raise LookupError("as it should")

    with pytest.raises(LookupError, match="as it should"):
        await evaluated(fail)


def test_values_nested_too_deeply_are_an_error() -> None:
    """A value nested 5,000 levels deep, more than a server or a file may send, is an error."""
    value: Any = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(EvaluationError, match="nested too deeply"):
        Schema({"pattern": "a"}, "ecma").outcome(value)
    assert Schema({"pattern": "a"}, "ecma").outcome("a").problem is None


def test_a_fork_starts_its_own_worker() -> None:
    """A forked process starts its own worker and does not share the pipes of its parent's."""
    assert search("a", "a")
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if search("a(b)", "ab") == ("ab", "b") else 1
            evaluator.close()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert search("a", "ba")
