"""The limit of open files is raised to what the queries in flight need."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.cli import RAW, clean_environment, write_jsonl
from tests.support.messages_api import Body, MessagesApi, text

if sys.platform == "win32":
    pytest.skip("Windows has no such limit", allow_module_level=True)

QUERIES = 100


def run_with_limit(ulimit: str, api: MessagesApi, folder: Path, concurrency: int) -> subprocess.CompletedProcess[str]:
    """Run `QUERIES` queries in a shell with this limit of open files."""
    prompts = write_jsonl(folder / "p.jsonl", *({"id": f"q{number}", "prompt": "Hi."} for number in range(QUERIES)))
    command = (sys.executable, "-m", "mcprun", "batch", str(prompts), str(RAW), "--quiet")
    flags = ("--base-url", api.url, "--model", "claude-sonnet-5-5", "--concurrency", str(concurrency), "--no-retry")
    return subprocess.run(
        ["sh", "-c", f'{ulimit}; exec "$@"', "sh", *command, *flags],
        cwd=folder, env=clean_environment() | {"ANTHROPIC_API_KEY": "sk-ant-test"}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip


def test_the_soft_limit_of_open_files_is_raised_for_the_requests_in_flight(tmp_path: Path) -> None:
    """100 requests in flight, which are 100 connections, need more files than a shell with 64 allows."""
    arrived = threading.Barrier(QUERIES)

    def answer(_: Body) -> Body:
        arrived.wait(timeout=30)
        return text("Hello.")

    with MessagesApi(answer) as api:
        done = run_with_limit("ulimit -S -n 64", api, tmp_path, QUERIES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_hard_limit_of_open_files_that_is_too_low_is_reported(tmp_path: Path) -> None:
    """A limit that mcprun can't raise is named before requests fail because of it."""
    with MessagesApi(lambda _: text("Hello.")) as api:
        done = run_with_limit("ulimit -n 150", api, tmp_path, 200)
    message = "--concurrency 200 may need 272 open files, and the system allows 150: lower --concurrency, or"
    assert message in " ".join(done.stderr.split())
