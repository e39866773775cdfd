"""Ask about each difference between a baseline and a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mcprun.analysis.diff.runs import QueryDiff
from mcprun.cli.review import HELP, Review
from mcprun.tools.changes import ToolChange

DIFFS = [
    QueryDiff("a", 1, "changed"),
    QueryDiff("b", 1, "removed"),
    QueryDiff("c", 1, "added"),
    QueryDiff("d", 1, "changed"),
]
TOOLS = [ToolChange("get", "tool_removed", True, "removed")]


def review(answers: str, diffs: Sequence[QueryDiff] = DIFFS, tools: Sequence[ToolChange] = (), **more: Any) -> Review:
    """Answer one letter per question; `-` is the end of the input. All answers must be used."""
    left = [None if answer == "-" else answer for answer in answers]
    asked = Review(show=lambda _: None, print_line=lambda _: None, ask=lambda _: left.pop(0), **more)
    asked.differences(diffs, tools)
    assert left == []
    return asked


@pytest.mark.parametrize(
    ("answers", "take", "drop", "kept"),
    [
        ("yyyy", "acd", "b", 0),
        ("nnnn", "", "", 4),
        ("ynyn", "ac", "", 2),
        ("a", "acd", "b", 0),
        ("na", "cd", "b", 1),
        ("q", "", "", 4),
        ("yq", "a", "", 3),
        ("y-", "a", "", 3),
        ("YNxn?y", "ad", "", 2),
    ],
)
def test_each_answer_accepts_or_keeps_a_difference(answers: str, take: str, drop: str, kept: int) -> None:
    """`y` accepts one difference, `a` all that follow, `n` keeps one and `q` all that follow, as does the end of input."""
    found = review(answers)
    assert (sorted(found.selection.take), sorted(found.selection.drop), found.kept) == (list(take), list(drop), kept)


def test_an_unknown_answer_is_asked_again() -> None:
    """The answers are explained, and the question is repeated."""
    printed: list[str] = []
    answers = iter(["maybe", "", "y"])
    asked = Review(show=lambda _: None, print_line=printed.append, ask=lambda _: next(answers))
    asked.differences(DIFFS[:1], ())
    assert (printed, list(asked.take)) == ([HELP, HELP], ["a"])


def test_questions_name_what_would_happen() -> None:
    """The question says whether a query changes, is added or is removed."""
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return "n"

    Review(show=lambda _: None, print_line=lambda _: None, ask=ask).differences(DIFFS[:3], TOOLS)
    assert [question.partition("?")[0] for question in questions] == [
        "Accept this change",
        "Remove this query from the baseline",
        "Add this query to the baseline",
        "Accept the tools of this run",
    ]


def test_tools_are_asked_about_last() -> None:
    """The changes of the server's tools are one question, which `a` covers too."""
    assert review("nnnny", tools=TOOLS).selection.tools
    assert review("a", tools=TOOLS).selection.tools
    assert not review("q", tools=TOOLS).selection.tools


def test_queries_that_ended_in_an_error_are_not_asked_about() -> None:
    """They are shown, and kept as they are in the baseline, also after `a`."""
    found = review("ya", unfit={"a"})
    assert (sorted(found.take), found.drop, found.kept) == (["c", "d"], ["b"], 1)


def test_the_summary_counts_what_was_accepted() -> None:
    """It names only what there is."""
    assert review("a", tools=TOOLS).summary() == "accepted 2 changed, 1 added, 1 removed, the tools"
    assert review("ynnn").summary() == "accepted 1 changed; kept 3"
    assert review("q").summary() == "accepted nothing; kept 4"
