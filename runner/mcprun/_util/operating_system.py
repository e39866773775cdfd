"""What POSIX systems and Windows do differently: signals, groups of processes, locks, paths on other drives.

Everything that only one of them has is called here, so that the other modules import and type-check on both.
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

    `at_once` is called with it from the interpreter's signal handler, even while something blocks the event loop.
    SIGTERM and SIGHUP stay ignored if they are, as SIGHUP is under nohup(1).
    Without an event loop that handles signals, as on Windows, the interpreter's handler passes them on to it.
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
            signal.signal(number, lambda number, _: at_once(number))  # the event loop is woken all the same


def send_signal(process_id: int, number: signal.Signals) -> None:
    """Send a signal to a process, and `KILL` to its whole group; do nothing if it is gone or not ours."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32" and number is KILL:
            os.killpg(process_id, number)
        else:
            os.kill(process_id, number)


def lock(descriptor: int) -> None:
    """Lock an open file against other processes until it is closed, or this process is gone.

    Raises `BlockingIOError` if another process holds the lock, `OSError` if the file can't be locked: on some file
    systems, and on Windows, where a lock would keep readers away.
    """
    if sys.platform == "win32":
        raise OSError("files are not locked on Windows")
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def relative_path(path: str | Path, start: str | Path = ".") -> str:
    """Return a path as seen from a folder; one on another drive of Windows is returned as it is."""
    try:
        return os.path.relpath(path, start)
    except ValueError:
        return str(path)
