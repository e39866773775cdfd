"""A fixture that runs the echo server over HTTP."""

from __future__ import annotations

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
    """Run the echo server over HTTP, with the test's parameter as its arguments; return its port."""
    with subprocess.Popen(
        [sys.executable, SERVERS / "over_http.py", *request.param], stdout=subprocess.PIPE, env=clean_environment()
    ) as process:
        assert process.stdout
        yield int(process.stdout.readline())
        process.kill()
