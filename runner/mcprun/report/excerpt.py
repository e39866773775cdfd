"""Excerpts of a conversation in plain text, for reports with little room."""

from __future__ import annotations

from mcprun.report.conversation import conversation
from mcprun.report.text import one_line
from mcprun.runs.transcript import Transcript, Verdict

_LINE = 300
"""Maximum number of characters of one text, call or result."""

_LINES = 40
"""Maximum number of lines of an excerpt. It keeps the last ones, because the cause of a failure is usually there."""

_CAUSE = 1000
"""Maximum number of characters of one cause."""


def causes(transcript: Transcript) -> list[str]:
    """Return why a query did not pass, one line per cause: its error, or each check that failed."""
    if error := transcript.error:
        return [one_line(f"{error.kind}: {error.message}", _CAUSE)]
    return [one_line(check.message or check.check, _CAUSE) for check in transcript.checks if not check.passed]


def kind(transcript: Transcript) -> str:
    """Return the kind of a query's error, or the name of the first check that failed."""
    if transcript.error:
        return str(transcript.error.kind)
    return next((check.check for check in transcript.checks if not check.passed), str(Verdict.FAILED))


def excerpt(transcript: Transcript) -> list[str]:
    """Return the end of a conversation, one shortened line per text, call or result, with controls escaped."""
    shown = [
        f"{who:<8} {one_line(text.plain, _LINE)}"
        for who, text in conversation(transcript)
        if who not in ("system", "check", "checks")
    ]
    left_out = len(shown) - _LINES
    return [f"… {left_out:,} earlier lines omitted", *shown[-_LINES:]] if left_out > 0 else shown
