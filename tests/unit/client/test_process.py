"""Arguments and environment of a server's process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mcp.client.stdio import get_default_environment

from mcprun.client.server_log import ServerLog
from mcprun.client.target import HttpTarget, StdioTarget, Target
from mcprun.client.transports.process import PrestartedServer, bare_environment
from mcprun.runs.redaction import Redactor

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def test_a_server_gets_what_the_sdk_would_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable more and none less, and no function of a shell."""
    monkeypatch.setenv("USER", "() { :; }")
    monkeypatch.setenv("SECRET", "s3cret")
    assert bare_environment() == get_default_environment()
    assert "USER" not in bare_environment()


def open_files() -> int:
    """Count what this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def log_in(folder: Path) -> ServerLog:
    """Make a log of servers."""
    return ServerLog(folder / "server.log", Redactor(), 1000)


@pytest.mark.parametrize("target", [StdioTarget("nope", "./nope"), HttpTarget("http://127.0.0.1:9/mcp")])
async def test_what_cannot_be_started_is_left_to_others(tmp_path: Path, target: Target) -> None:
    """A command that is not there is no reason to fail here, and a URL needs no process."""
    before = open_files()
    async with PrestartedServer(target, log_in(tmp_path)) as prestarted:
        assert not prestarted.is_there
        assert open_files() == before
