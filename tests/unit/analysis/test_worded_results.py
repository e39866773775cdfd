"""Results that mcprun worded are compared by their `problem`, since the wording may change between versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.transcripts import call, changes, transcript


def failed(text: str, problem: str | None) -> dict[str, Any]:
    """Return a transcript with one failed call."""
    known = {} if problem is None else {"problem": problem}
    return transcript(calls=[call("add", text, is_error=True) | known])


@pytest.mark.parametrize(
    ("base", "head", "differences"),
    [
        (("No answer from add within 2 s.", "timeout"), ("add timed out.", "timeout"), []),
        (("No answer from add within 2 s.", "timeout"), ("The tool add is not allowed here.", "not allowed"), ["result"]),
        (("No answer from add within 2 s.", None), ("No answer from add within 2 s.", "timeout"), []),
        (("No answer from add within 2 s.", None), ("add timed out.", "timeout"), ["result"]),
        (("Out of memory", None), ("Disk full", None), ["result"]),
    ],
)  # fmt: skip
def test_two_results_with_a_problem_are_compared_by_it(
    base: tuple[str, str | None], head: tuple[str, str | None], differences: list[str]
) -> None:
    """Recordings of earlier versions have no `problem`: there, and for results of servers, the text counts."""
    assert differences == [change.what for change in changes(failed(*base), failed(*head))]
