"""The progress of a run in words."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from mcprun.report.progress import LiveReporter, PlainReporter, ProgressReporter
from mcprun.runs.events import AttemptRef, WarningEvent
from mcprun.runs.transcript import Verdict


def test_progress_counts_errors_in_words() -> None:
    """The verdicts so far are counted as in the totals: `2 errors`, and thousands are grouped."""
    reporter = ProgressReporter(Console())
    reporter.verdicts.update({Verdict.PASSED: 1200, Verdict.FAILED: 1, Verdict.ERROR: 2})
    assert reporter.format_verdicts() == "1,200 passed, 1 failed, 2 errors"


@pytest.mark.parametrize("reporter", [ProgressReporter, PlainReporter, LiveReporter])
def test_warnings_about_queries_are_printed_at_the_end(reporter: type[ProgressReporter]) -> None:
    """A server whose cleanup always fails does not flood the terminal. Other warnings are printed at once."""
    console = Console(file=StringIO(), width=100)
    with reporter(console) as progress:
        for number in range(8):
            message = f"q{number}: cleanup[0]: expected no error, got 'locked\x1b[2J'"
            for attempt in (1, 2):  # only those that are printed are known to be the same
                progress.handle(WarningEvent(where=AttemptRef(f"q{number}", 1, attempt), message=message))
        progress.handle(WarningEvent(message="the collector did not respond"))
        before = printed(console)
    assert before == ["Warning: the collector did not respond"]
    assert printed(console)[1:] == [
        *(f"Warning: q{n}: cleanup[0]: expected no error, got 'locked\\x1b[2J'" for n in range(5)),
        "… and 6 more warnings about queries",
    ]


def printed(console: Console) -> list[str]:
    """Return the lines that a console has printed."""
    assert isinstance(console.file, StringIO)
    return [line for line in console.file.getvalue().splitlines() if line.strip()]
