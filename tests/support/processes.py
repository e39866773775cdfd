"""Fixtures for tests that start processes: the fork server, and a check that no process is left behind."""

from __future__ import annotations

import ctypes
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from mcprun.evaluation import evaluator
from tests.support.forks import Forks

_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 10.0
"""Seconds that a process may take to shut down after its test."""


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants, daemons included (Linux: prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> dict[int, str]:
    """Return the command lines of this process's children by process id, without zombies."""
    found = {}
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for child in file.read_text().split():
                with suppress(OSError):
                    state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
                    if state != "Z":
                        found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def wait_for_exit(pids: Iterable[int], timeout: float) -> None:
    """Wait at most `timeout` seconds until one of these processes has ended, without polling."""
    if sys.platform != "linux":
        raise NotImplementedError
    with ExitStack() as stack:
        poll = select.poll()
        for pid in pids:
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                stack.callback(os.close, descriptor)
                poll.register(descriptor, select.POLLIN)
        poll.poll(max(0.0, timeout) * 1000)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail a test that leaves a process behind, including processes started by its servers."""
    before = children()
    yield
    evaluator.close()
    deadline = time.monotonic() + _GRACE_SECONDS
    while (
        left := {pid: line for pid, line in children().items() if pid not in before}
    ) and time.monotonic() < deadline:
        wait_for_exit(left, deadline - time.monotonic())
    assert left == {}


@pytest.fixture(scope="session", autouse=True)
def mcprun() -> Iterator[Forks]:
    """Start the process whose forks run the commands of this session."""
    with Forks() as forks:
        forks.share()
        yield forks
