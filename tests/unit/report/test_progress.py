"""The progress of a run in words."""

from __future__ import annotations

from rich.console import Console

from mcprun.report.progress import ProgressReporter
from mcprun.runs.transcript import Verdict


def test_progress_counts_errors_in_words() -> None:
    """The verdicts so far are counted as in the totals: `2 errors`, and thousands are grouped."""
    reporter = ProgressReporter(Console())
    reporter.verdicts.update({Verdict.PASSED: 1200, Verdict.FAILED: 1, Verdict.ERROR: 2})
    assert reporter.format_verdicts() == "1,200 passed, 1 failed, 2 errors"
