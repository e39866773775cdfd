"""Find a free port, wait for a server on loopback to accept connections, and end its process."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import suppress

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0


def free_port() -> int:
    """Return a free port. Another process may take it before a server binds it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def accepts(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for a server to accept connections. False if its process ends or the timeout expires first."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            return False
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it after a timeout."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
