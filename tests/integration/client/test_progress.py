"""Contradictory time limits are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import mcprun
from mcprun.errors import UsageError
from tests.support.cli import RAW, run_mcprun, script, write_jsonl


def test_contradictory_limits_are_refused(tmp_path: Path) -> None:
    """The limit for a whole call must be at least that for a part of it.

    It defaults to the larger of that and ten minutes.
    """
    assert [mcprun.Limits(call_seconds=one).max_total_call_seconds for one in (60, 900)] == [600, 900]
    with pytest.raises(
        UsageError, match="--max-call-timeout must be at least --call-timeout: 5 s is less than the 60 s"
    ):
        mcprun.Limits(max_call_seconds=5)
    write_jsonl(tmp_path / "p.jsonl", script())
    env = {"MCPRUN_MAX_CALL_TIMEOUT": "7"}
    shown = run_mcprun("batch", "p.jsonl", RAW, "--show-config", cwd=tmp_path, env=env)
    assert ["max-call-timeout", "7.0", "MCPRUN_MAX_CALL_TIMEOUT"] in [
        line.split() for line in shown.stdout.splitlines()
    ]
    refused = run_mcprun("batch", "p.jsonl", RAW, cwd=tmp_path, env=env)
    assert (refused.code, refused.stderr.count("\n")) == (2, 1)
    done = run_mcprun("batch", "p.jsonl", RAW, "--call-timeout", "5", cwd=tmp_path, env=env)
    assert (done.record["limits"]["call_seconds"], done.record["limits"]["max_call_seconds"]) == (5, 7)
    assert done.record["arguments"]["max_call_timeout"] == 7
