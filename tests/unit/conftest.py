"""Fail unit tests that start a process, use the network or sleep. Such tests belong in `tests/integration`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from mcprun.evaluation import evaluator

_FORBIDDEN = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "socket.bind", "socket.connect",
     "socket.getaddrinfo", "subprocess.Popen", "time.sleep"}
)  # fmt: skip
"""Names of audit events (PEP 578)."""
_recorded: list[str] | None = None


def _audit(event: str, _: object) -> None:
    if event in _FORBIDDEN and _recorded is not None:
        _recorded.append(event)


sys.addaudithook(_audit)


@pytest.fixture(autouse=True)
def only_this_process() -> Iterator[None]:
    """Record forbidden audit events during the test, and fail if there are any."""
    global _recorded
    evaluator.close()  # a test that needs its process then starts one, whichever test ran before
    recorded: list[str] = []
    _recorded = recorded
    yield
    _recorded = None
    assert recorded == []
