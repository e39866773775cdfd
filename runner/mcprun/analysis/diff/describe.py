"""Find and describe the differences of a changed value. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mcprun.analysis.diff.repeated_changes import without_repeated_text
from mcprun.analysis.diff.transcripts import Change
from mcprun.analysis.diff.values import ABSENT, ValueDifference, value_differences
from mcprun.tools.format import ValueFormatter, first_few


def differences_of(change: Change) -> Iterator[ValueDifference]:
    """Yield the differences of a change's values. One that is in a result's text and structured content comes once."""
    before, after = change.before, change.after
    if change.what == "result":
        before, after = without_repeated_text(before, after)
    root = "messages" if change.what == "prompt" else "error" if all(change.are_errors) else ""
    return value_differences(before, after, root)


def describe_differences(change: Change, formatter: ValueFormatter) -> str:
    """Describe the first few differences of a change on one line, and count the others.

    `status: recorded "good", got "bad"; items[0]: not recorded, got 5; and 3 more differences`
    """
    return first_few(differences_of(change), lambda difference: _describe(difference, change.what, formatter))


def _describe(difference: ValueDifference, root: str, formatter: ValueFormatter) -> str:
    before, after = difference.before, difference.after
    at = formatter.path(difference.path or root)
    if before is ABSENT:
        return f"{at}: not recorded, got {formatter.short(after)}"
    if after is ABSENT:
        return f"{at}: missing, recorded {formatter.short(before)}"
    if isinstance(before, str) and isinstance(after, str):
        line, was, got = formatter.differing_texts(before, after)
        return f"{at}{line}: recorded {was}, got {got}"
    return f"{at}: recorded {formatter.short(before)}, got {formatter.short(after)}"
