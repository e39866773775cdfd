"""Arguments and environment of a server process."""

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


def test_environment_matches_the_sdk_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the same variables as the SDK's default, and no shell functions."""
    monkeypatch.setenv("USER", "() { :; }")
    monkeypatch.setenv("SECRET", "s3cret")
    assert bare_environment() == get_default_environment()
    assert "USER" not in bare_environment()


def count_open_files() -> int:
    """Return the number of open file descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def create_log(folder: Path) -> ServerLog:
    """Return a server log in `folder`."""
    return ServerLog(folder / "server.log", Redactor(), 1000)


@pytest.mark.parametrize("target", [StdioTarget("nope", "./nope"), HttpTarget("http://127.0.0.1:9/mcp")])
async def test_prestart_ignores_a_missing_command_and_a_url(tmp_path: Path, target: Target) -> None:
    """A missing command raises no error yet, and a URL needs no process. Neither opens a file."""
    before = count_open_files()
    async with PrestartedServer(target, create_log(tmp_path)) as prestarted:
        assert not prestarted.is_there
        assert count_open_files() == before
