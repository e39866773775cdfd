"""Servers that flood their client or hang up and keep running: time limits hold, and files are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.floods import against
from tests.support.forks import Forks


@pytest.mark.parametrize("what", ["pings", "messages"])
def test_the_run_ends_in_time_while_its_server_floods(mcprun: Forks, tmp_path: Path, what: str) -> None:
    """No call, and no query, needs to end for that; the trace ends with the server's exit."""
    done = against(mcprun, tmp_path, what, "--call-timeout", "60", "--run-timeout", "3")
    assert done.code == 3
    assert done.transcripts[0]["error"]["kind"] == "run_timeout"
    assert [event["event"] for event in done.trace if event["event"] == "server_exit"] == ["server_exit"] * 2


def test_a_flood_before_the_first_answer_is_a_time_out(mcprun: Forks, tmp_path: Path) -> None:
    """The message names the request that is waited for."""
    done = against(mcprun, tmp_path, "pings", "--connect-timeout", "2", when="initialize")
    assert done.code == 3
    assert "the server did not respond within 2 s, waiting for its response to initialize" in done.stderr
