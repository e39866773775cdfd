"""Deadlines of a run whose queries never wait, and a full disk."""

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


def named(name: str, *tools: str) -> dict[str, Any]:
    """Make a query that calls some tools."""
    return script(*((tool, {}) for tool in tools)) | {"id": name}


def test_a_disk_that_is_full(mcprun: Forks, tmp_path: Path) -> None:
    """The run ends with one message, what was written stays whole, and a resume does the rest."""
    queries = [named(f"q{number}", "ok") for number in range(60)]
    write_jsonl(tmp_path / "p.jsonl", *queries)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    whole = mcprun.run("batch", "p.jsonl", RAW, "--out", "whole", cwd=tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))  # no file may grow above it, as on a full disk
    try:
        with Forks() as forks:
            done = forks.run("batch", "p.jsonl", RAW, "--out", "run", cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.code == 3
    assert re.search(r"^Error: can't write .*run: File too large$", done.stderr, re.MULTILINE)
    assert "mcprun batch --resume run" in done.stderr
    assert "Traceback" not in done.stderr
    written = (tmp_path / "run" / "transcripts.jsonl").read_bytes()
    assert 10 < written.count(b"\n") < 60
    again = mcprun.run("batch", "--resume", "run", cwd=tmp_path)
    assert (again.code, again.bytes) == (0, whole.bytes)


def test_a_run_whose_queries_wait_for_nothing_keeps_its_deadline(mcprun: Forks, tmp_path: Path) -> None:
    """Signals come the same way: between two queries, however short they are."""
    query = {"prompt": "?", "repeat": 10_000, "script": [{"text": "Done."}]}
    write_jsonl(tmp_path / "p.jsonl", *({"id": f"q{number}", **query} for number in range(100)))
    done = mcprun.run("batch", "p.jsonl", RAW, "--run-timeout", "2", "--quiet", "--out", "out", cwd=tmp_path)
    assert (done.code, "--run-timeout" in done.stderr) == (3, True)
