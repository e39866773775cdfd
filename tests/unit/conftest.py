"""Fail a unit test that starts a process, uses the network or sleeps. Such a test belongs below `tests/integration`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

_FORBIDDEN = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "socket.bind", "socket.connect",
     "socket.getaddrinfo", "subprocess.Popen", "time.sleep"}
)  # fmt: skip
"""Audit events (PEP 578)."""
_seen: list[str] | None = None


def _audit(event: str, _: object) -> None:
    if event in _FORBIDDEN and _seen is not None:
        _seen.append(event)


sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def only_this_process() -> Iterator[None]:
    """Record forbidden audit events during the test, and fail if there are any."""
    global _seen
    found: list[str] = []
    _seen = found
    yield
    _seen = None
    assert found == []
