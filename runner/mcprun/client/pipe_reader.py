"""Read a pipe without blocking, with a callback when data arrives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from mcprun._util.operating_system import IS_WINDOWS

READ_BYTES = 262_144


class PipeReader(Protocol):
    """The reading end of a pipe."""

    def read(self) -> bytes | None:
        """Return up to `READ_BYTES` that have arrived; None if there are none yet, empty at the end of the pipe."""

    def close(self) -> None:
        """Stop reading, and make no more callbacks."""


def open_pipe(arrived: Callable[[], None], *, is_windows: bool = IS_WINDOWS) -> tuple[PipeReader, int]:
    """Create a pipe, and return its reader and the descriptor of its writing end.

    `arrived` is called in the running event loop when there is data to read. On Windows an event loop can't wait for a
    pipe, so a thread does.
    """
    reading, writing = os.pipe()
    return (_ThreadReader if is_windows else _LoopReader)(reading, arrived), writing


class _LoopReader:
    """Reads a non-blocking descriptor that the event loop waits for."""

    def __init__(self, descriptor: int, arrived: Callable[[], None]) -> None:
        self._descriptor = descriptor
        if sys.platform != "win32":
            os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, arrived)

    def read(self) -> bytes | None:
        try:
            return os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return None

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)


class _ThreadReader:
    """Reads a blocking descriptor in a thread that ends with the pipe.

    The thread is never joined, because a process that holds the writing end may outlive the reader.
    """

    def __init__(self, descriptor: int, arrived: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._read: SimpleQueue[bytes] = SimpleQueue()
        self._is_closed = False
        threading.Thread(target=self._run, name="mcprun-stderr", daemon=True).start()

    def read(self) -> bytes | None:
        try:
            return self._read.get_nowait()
        except Empty:
            return None

    def close(self) -> None:
        self._is_closed = True

    def _run(self) -> None:
        data = b"-"
        while data:
            data = self._next()
            self._read.put(data)
            with contextlib.suppress(RuntimeError):  # the event loop has been closed
                self._loop.call_soon_threadsafe(self._notify)
        os.close(self._descriptor)

    def _next(self) -> bytes:
        try:
            return os.read(self._descriptor, READ_BYTES)
        except OSError:
            return b""

    def _notify(self) -> None:
        if not self._is_closed:
            self._arrived()
