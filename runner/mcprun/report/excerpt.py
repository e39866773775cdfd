"""A conversation in a few plain lines, for reports that have no room for all of it."""

from __future__ import annotations

from mcprun.report.conversation import conversation
from mcprun.report.text import one_line
from mcprun.runs.records import Transcript, Verdict

_LINE = 300
"""Characters of one text, call or result."""

_LINES = 40
"""What a query fails for stands at its end: so many lines of that are shown."""

_CAUSE = 1000
"""Characters of one cause."""


def causes(transcript: Transcript) -> list[str]:
    """Tell why a query did not pass, one cause a line: its error, or each check that did not hold."""
    if error := transcript.error:
        return [one_line(f"{error.kind}: {error.message}", _CAUSE)]
    return [one_line(check.message or check.check, _CAUSE) for check in transcript.checks if not check.passed]


def kind(transcript: Transcript) -> str:
    """Name what a query did not pass for: its kind of error, or the first check that did not hold."""
    if transcript.error:
        return str(transcript.error.kind)
    return next((check.check for check in transcript.checks if not check.passed), str(Verdict.FAILED))


def excerpt(transcript: Transcript) -> list[str]:
    """Give the end of a conversation, one text, call or result a line, cut short; controls are made visible."""
    told = [
        f"{who:<8} {one_line(text.plain, _LINE)}"
        for who, text in conversation(transcript)
        if who not in ("system", "check", "checks")
    ]
    left_out = len(told) - _LINES
    return [f"… {left_out:,} lines before", *told[-_LINES:]] if left_out > 0 else told
