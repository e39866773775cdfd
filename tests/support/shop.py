"""Fixtures for the baseline run of `prompts/regression`, recorded once per session and copied for each test."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cli import PROMPTS, Result, run_mcprun

REGRESSION = PROMPTS / "regression"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Run the queries against the server `shop.py`."""
    folder = tmp_path_factory.mktemp("shop")
    done = run_mcprun("batch", REGRESSION / "regression.jsonl", REGRESSION / "shop.py", "--out", "good", cwd=folder)
    assert (done.code, done.record["counts"]["diverged"]) == (0, 0)
    return done


@pytest.fixture
def good(recorded: Result, tmp_path: Path) -> Result:
    """Copy the run to `tmp_path / "good"`, as the latest run."""
    shutil.copytree(recorded.run.parent, tmp_path, symlinks=True, dirs_exist_ok=True)
    return replace(recorded, run=tmp_path / "good")
