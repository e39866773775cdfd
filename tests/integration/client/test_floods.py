"""Servers that flood their client: time limits hold, and files are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.floods import against
from tests.support.forks import Forks


@pytest.mark.parametrize("flood", ["pings", "messages"])
def test_run_timeout_holds_while_the_server_floods(mcprun: Forks, tmp_path: Path, flood: str) -> None:
    """The run ends although no call and no query has, and the trace has each server's exit."""
    done = against(mcprun, tmp_path, flood, "--call-timeout", "60", "--run-timeout", "3")
    assert done.code == 3
    assert done.transcripts[0]["error"]["kind"] == "run_timeout"
    assert [event["event"] for event in done.trace if event["event"] == "server_exit"] == ["server_exit"] * 2


def test_flood_before_the_first_response_times_out(mcprun: Forks, tmp_path: Path) -> None:
    """The error names the request that has no response."""
    done = against(mcprun, tmp_path, "pings", "--connect-timeout", "2", when="initialize")
    assert done.code == 3
    assert "the server did not respond within 2 s, waiting for its response to initialize" in done.stderr
