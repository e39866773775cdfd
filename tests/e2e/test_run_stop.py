"""A full disk, and the deadline of a run whose queries never wait."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import RAW, script, write_jsonl
from tests.support.forks import Forks

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)


def query_calling(name: str, *tools: str) -> dict[str, Any]:
    """Return a scripted query that calls the tools in order."""
    return script(*((tool, {}) for tool in tools)) | {"id": name}


def test_a_full_disk_ends_a_run_that_can_be_resumed(mcprun: Forks, tmp_path: Path) -> None:
    """A full disk ends the run with one message, written transcripts stay intact, and a resume completes the run."""
    queries = [query_calling(f"q{number}", "ok") for number in range(60)]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    uninterrupted = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, old_limits[1]))  # larger files fail to grow, as on a full disk
    try:
        with Forks() as forks:
            done = forks.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)
    assert done.code == 3
    assert re.search(r"^Error: can't write .*run: File too large$", done.stderr, re.MULTILINE)
    assert "mcprun batch --resume run" in done.stderr
    assert "Traceback" not in done.stderr
    written = (tmp_path / "run" / "transcripts.jsonl").read_bytes()
    assert 10 < written.count(b"\n") < 60
    resumed = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (resumed.code, resumed.bytes) == (0, uninterrupted.bytes)


def test_run_timeout_ends_a_run_whose_queries_never_wait(mcprun: Forks, tmp_path: Path) -> None:
    """`--run-timeout` is checked between queries, however short they are."""
    query = {"prompt": "?", "repeat": 10_000, "script": [{"text": "Done."}]}
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{number}", **query} for number in range(100)))
    done = mcprun.run("batch", "p.jsonl", RAW, "--run-timeout", "2", "--quiet", "--out", "out", cwd=tmp_path)
    assert (done.code, "--run-timeout" in done.stderr) == (3, True)
