"""What holds for every test: when it is over, no process of it is left."""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from mcprun.evaluation import bounded
from tests.support.examples import load_profile
from tests.support.forks import Forks

load_profile()

_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 10.0
"""What was told to end may take a moment; what was not will still be there after it."""

# In a process that never set a loop, older versions of pytest-asyncio make one that nobody closes.
asyncio.set_event_loop(None)

if sys.platform != "win32":
    # Commands under test inherit what this process ignores: SIGHUP under nohup, SIGINT in the background of a shell.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

if sys.platform == "linux":
    # Whoever loses its parent becomes a child of this process, daemons included: nothing can hide.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> dict[int, str]:
    """Return the child processes of this one that are not zombies, with their command lines."""
    found = {}
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for child in file.read_text().split():
                with suppress(OSError):
                    state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
                    if state != "Z":
                        found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def wait_ended(pids: Iterable[int], seconds: float) -> None:
    """Wait until one of these processes has ended, at most `seconds`, without polling."""
    if sys.platform != "linux":
        raise NotImplementedError
    with ExitStack() as stack:
        ends = select.poll()
        for pid in pids:
            with suppress(ProcessLookupError):
                end = os.pidfd_open(pid)
                stack.callback(os.close, end)
                ends.register(end, select.POLLIN)
        ends.poll(max(0.0, seconds) * 1000)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail a test that leaves a process behind, its own or one that its servers started."""
    before = children()
    yield
    bounded.close()
    deadline = time.monotonic() + _GRACE_SECONDS
    while (
        left := {pid: line for pid, line in children().items() if pid not in before}
    ) and time.monotonic() < deadline:
        wait_ended(left, deadline - time.monotonic())
    assert left == {}


@pytest.fixture(scope="session", autouse=True)
def mcprun() -> Iterator[Forks]:
    """Yield the command without the cost of its imports."""
    with Forks() as forks:
        forks.share()
        yield forks
