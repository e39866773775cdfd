"""Servers on loopback: a free port for one, waiting until it accepts connections, and ending it by its id."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import suppress

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


def free_port() -> int:
    """Find a port that is free; it may be taken by the time that a server asks for it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until connections are accepted, or the process has ended, or it is too late."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            return False
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process: ask, then kill."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
