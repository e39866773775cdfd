"""A server over HTTP, as a fixture."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.cli import (
    SERVERS,
    clean_environment,
)


@pytest.fixture
def http_server(request: pytest.FixtureRequest) -> Iterator[int]:
    """Start the echo server over HTTP and give its port."""
    with subprocess.Popen(
        [sys.executable, SERVERS / "over_http.py", *request.param], stdout=subprocess.PIPE, env=clean_environment()
    ) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
