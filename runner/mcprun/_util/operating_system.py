"""Wrap the differences between POSIX systems and Windows: signals, process groups, locks, open files, paths on drives.

Functions that only one of them has are called only here, so that the other modules import and type-check on both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

IS_WINDOWS = sys.platform == "win32"

if sys.platform == "win32":
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    TERMINATE = KILL = signal.SIGTERM
else:
    STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    TERMINATE, KILL = signal.SIGTERM, signal.SIGKILL


def on_stop_signals(
    take: Callable[[int], None], at_once: Callable[[int], None] = lambda _: None, *, is_windows: bool = IS_WINDOWS
) -> None:
    """Call `take` in the running event loop with the number of each signal that asks this process to stop.

    `at_once` is called with the number from the interpreter's signal handler, even while the event loop is blocked.
    SIGTERM and SIGHUP stay ignored if they already are, as SIGHUP is under nohup(1).
    On Windows, where event loops do not handle signals, the interpreter's handler forwards them to the loop.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        if number != signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN:
            continue
        if is_windows:

            def handle(number: int, _: object) -> None:
                loop.call_soon_threadsafe(take, number)
                at_once(number)

            signal.signal(number, handle)
        else:
            loop.add_signal_handler(number, take, number)
            signal.signal(number, lambda number, _: at_once(number))  # the wakeup fd still wakes the loop


def send_signal(process_id: int, number: signal.Signals) -> None:
    """Send a signal to a process, or `KILL` to its whole group. Do nothing if it has ended or is not ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32" and number is KILL:
            os.killpg(process_id, number)
        else:
            os.kill(process_id, number)


def lock(descriptor: int) -> None:
    """Lock an open file against other processes until it is closed or this process exits.

    Raises `BlockingIOError` if another process holds the lock, `OSError` if the file can't be locked: on some file
    systems, and on Windows, where a lock would block readers.
    """
    if sys.platform == "win32":
        raise OSError("files are not locked on Windows")
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def allow_open_files(count: int) -> int | None:
    """Raise this process's limit of open files to `count` if it is lower, as far as the system allows.

    Return the limit, which processes that are started later inherit; None on Windows, where sockets do not count.
    """
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a limit for all processes, which may be lower
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return None if soft == resource.RLIM_INFINITY else soft


def relative_path(path: str | Path, start: str | Path = ".") -> str:
    """Return a path relative to a folder. On Windows, a path on another drive is returned unchanged."""
    try:
        return os.path.relpath(path, start)
    except ValueError:
        return str(path)
