"""Render transcripts and differences in isolation, so that one bad value never breaks a whole report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change
from mcprun.errors import describe
from mcprun.runs.transcript import Check, ErrorInfo, Transcript

T = TypeVar("T")


def render(transcript: Transcript, render: Callable[[Transcript], T]) -> T:
    """Render a transcript; if that raises, render its verdict with the reason in place of the conversation.

    The verdict and its causes are kept, so that a report agrees with the run's exit code. If the causes can't be
    rendered either, the reason replaces them too.
    """
    try:
        return render(transcript)
    except Exception as error:  # noqa: BLE001  one transcript must not affect the others
        reason = f"cannot render this conversation: {describe(error)}"
    nothing: dict[str, object] = {
        "messages": [], "given": None, "calls": [], "vars": {}, "steps": [], "asked": [], "system": None,
    }  # fmt: skip
    emptied = transcript.model_copy(update={**nothing, "prompt": reason, "text": reason})
    try:
        return render(emptied)
    except Exception:  # noqa: BLE001  the verdict's causes can't be rendered either
        kind = transcript.error.kind if transcript.error else None
        checks = [] if all(check.passed for check in transcript.checks) else [_failed(reason)]
        error_info = ErrorInfo(kind=kind, message=reason) if kind else None
        return render(emptied.model_copy(update={"checks": checks, "error": error_info}))


def render_diff(diff: QueryDiff, render: Callable[[QueryDiff], T]) -> T:
    """Render a query's differences; if that raises, render a single change that holds the reason."""
    try:
        return render(diff)
    except Exception as error:  # noqa: BLE001  one query must not affect the others
        reason = f"cannot render these differences: {describe(error)}"
        return render(replace(diff, changes=(Change("fault", after=reason),), variants=()))


def _failed(reason: str) -> Check:
    return Check(check="shown", passed=False, message=reason)
