"""The size of large pages: bounded by a quarter more than the pages of the first version had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import run_mcprun
from tests.support.large_runs import write_large_run


@pytest.mark.parametrize(("queries", "megabytes"), [(2_000, 4.1), (10_000, 20.8)])
def test_a_large_page_stays_small(tmp_path: Path, queries: int, megabytes: float) -> None:
    """The page holds all conversations. Charts and causes take at most a quarter, and timelines are bounded."""
    write_large_run(tmp_path / "run", queries)
    done = run_mcprun("report", "run", "--html", "report.html", cwd=tmp_path)
    assert (done.code, done.stderr) == (0, "")
    page = (tmp_path / "report.html").read_bytes()
    assert len(page) <= 1.25 * megabytes * 1e6
    assert page.count(b'<script type="application/json" id="c-') == queries
    assert (b"Timelines in this file: " in page) == (queries > 2_000)
