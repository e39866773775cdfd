"""The causes of a red run in words."""

from __future__ import annotations

import pytest

from mcprun.report.cause_text import SHOWN, details, first_query, headline, left_out, lines
from mcprun.report.causes import Cause, CauseKind

FIVE = tuple((f"q{n}", 1) for n in range(5))


@pytest.mark.parametrize(
    ("cause", "first", "second"),
    [
        (
            Cause(CauseKind.FAILED, "refund: limit exceeded (…)", 8, ("refund",), FIVE),
            "8 × refund: limit exceeded (…)",
            "q0, q1, q2, q3, q4 and 3 more",
        ),
        (
            Cause(CauseKind.FAILED, "no text", 2, ("a", "b"), (("q", 3), ("r", 1)), regressed=1),
            "2 × no text",
            "tools a, b; 1 regressed; q (3), r",
        ),
        (Cause(CauseKind.SERVER, "the server exited", 28), "the server exited", ""),
        (
            Cause(CauseKind.BREAKING, "breaking tool change: a → b", 1, ("a", "b"), (("q", 1),)),
            "breaking tool change: a → b",
            "1 red query calls it; q",
        ),
    ],
)
def test_a_cause_is_a_headline_and_its_details(cause: Cause, first: str, second: str) -> None:
    """The number of queries comes first, and what the message does not say below it."""
    assert (headline(cause), details(cause)) == (first, second)


def test_further_causes_are_counted() -> None:
    """Ten causes are listed, and the queries of the others are counted."""
    causes = [Cause(CauseKind.FAILED, f"m{n}", 2) for n in range(SHOWN + 3)]
    assert list(lines(causes))[-2:] == ["● 2 × m9", "… and 3 more causes of 6 queries"]


@pytest.mark.parametrize(
    ("causes", "expected"),
    [
        ([Cause(CauseKind.STOPPED, "stopped", 3), Cause(CauseKind.FAILED, "m", 2, (), FIVE[2:])], "q2"),
        ([Cause(CauseKind.BREAKING, "b", 1, (), FIVE[1:]), Cause(CauseKind.REGRESSED, "r", 9, (), FIVE)], "q1"),
        ([Cause(CauseKind.REMOVED, "removed", 9, (), FIVE), Cause(CauseKind.ERROR, "m", 1, (), FIVE[4:])], "q4"),
        ([Cause(CauseKind.BREAKING, "b", 0), Cause(CauseKind.REMOVED, "removed", 1, (), FIVE)], None),
    ],
)
def test_the_next_query_is_the_first_of_the_first_cause_that_has_one(causes: list[Cause], expected: str | None) -> None:
    """A query that only the baseline has can't be shown."""
    assert first_query(causes) == expected


def test_causes_of_the_whole_run_have_no_queries_of_their_own_to_count() -> None:
    """A query that calls a changed tool is counted once, by its own cause."""
    breaking = Cause(CauseKind.BREAKING, "t: removed", 7, ("t",))
    assert left_out([breaking, Cause(CauseKind.FAILED, "m", 2)]) == "… and 2 more causes of 2 queries"
    assert left_out([breaking]) == "… and 1 more cause"
