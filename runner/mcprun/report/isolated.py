"""Rendering of one transcript or difference at a time, so that one value never costs a whole report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from mcprun.compare import Change
from mcprun.diff import QueryDiff
from mcprun.errors import describe
from mcprun.records import Check, ErrorInfo, Transcript

T = TypeVar("T")


def shown(transcript: Transcript, render: Callable[[Transcript], T]) -> T:
    """Render a transcript; if that raises, render its verdict with the reason in place of the conversation.

    The verdict and its causes stay, so that a report agrees with the run's exit code. If those are what can't be
    rendered, the reason takes their place as well.
    """
    try:
        return render(transcript)
    except Exception as error:  # noqa: BLE001  whatever one transcript holds, the report of the others stands
        reason = f"this conversation can't be shown: {describe(error)}"
    nothing: dict[str, object] = {"messages": [], "given": None, "calls": [], "asked": [], "system": None}
    emptied = transcript.model_copy(update={**nothing, "prompt": reason, "text": reason})
    try:
        return render(emptied)
    except Exception:  # noqa: BLE001  the causes themselves
        kind = transcript.error.kind if transcript.error else None
        checks = [] if all(check.passed for check in transcript.checks) else [_failed(reason)]
        error_info = ErrorInfo(kind=kind, message=reason) if kind else None
        return render(emptied.model_copy(update={"checks": checks, "error": error_info}))


def shown_diff(diff: QueryDiff, render: Callable[[QueryDiff], T]) -> T:
    """Render a query's differences; if that raises, render that it differs, with the reason."""
    try:
        return render(diff)
    except Exception as error:  # noqa: BLE001  whatever one query holds, the others are compared
        reason = f"the differences can't be shown: {describe(error)}"
        return render(replace(diff, changes=(Change("fault", after=reason),), variants=()))


def _failed(reason: str) -> Check:
    return Check(check="shown", passed=False, message=reason)
