"""The run of the good shop: recorded once for all tests, each of which has a copy in its folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cli import PROMPTS, Result, run_mcprun

REGRESSION = PROMPTS / "regression"


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Record the run."""
    folder = tmp_path_factory.mktemp("shop")
    done = run_mcprun("batch", REGRESSION / "regression.jsonl", REGRESSION / "shop.py", "--out", "good", cwd=folder)
    assert (done.code, done.record["counts"]["diverged"]) == (0, 0)
    return done


@pytest.fixture
def good(recorded: Result, tmp_path: Path) -> Result:
    """Copy the run to the test's folder as `good`, the latest run."""
    shutil.copytree(recorded.run.parent, tmp_path, symlinks=True, dirs_exist_ok=True)
    return replace(recorded, run=tmp_path / "good")
