"""Processes that share a token store do not use each other's refresh tokens."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.support.cli import clean_environment, write_jsonl
from tests.support.guarded_server import CALL, log_in, running, server
from tests.support.oauth import Guarded

__all__ = ["running", "server"]


def test_only_one_of_five_processes_uses_the_refresh_token(server: Guarded) -> None:
    """A refresh token can be used once: of five processes, one uses it and the others use the tokens it obtained."""
    assert log_in(server).code == 0
    server.revoke("access")
    prompts = write_jsonl(server.folder / "p.jsonl", CALL)
    command = [sys.executable, "-m", "mcprun", "batch", str(prompts), server.url, "--out"]

    def run(number: int) -> int:
        env = clean_environment() | server.env
        done = subprocess.run([*command, f"out-{number}"], cwd=server.folder, env=env, capture_output=True, timeout=120)
        return done.returncode

    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(run, range(5))) == [0] * 5
    assert [line["grant"] for line in server.asked("token")] == ["authorization_code", "refresh_token"]
