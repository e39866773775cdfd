"""The list of changes that several queries share, on the page of a comparison."""

from __future__ import annotations

from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.diff.transcripts import Change
from mcprun.report.html.shared_changes import shared_changes

LONG = "x" * 70
"""A text that is too long for a title."""


def items(*changes: Change) -> list[JsonObject]:
    """Return the list for two queries with these changes."""
    groups = Groups()
    for name in "ab":
        groups.add(QueryDiff(name, 1, "changed", ("passed", "passed"), changes))
    return list(shared_changes(groups).items)


def test_the_words_that_differ_are_every_second_segment() -> None:
    """Each line has its sign; a line of a result is not marked as an error."""
    (item,) = items(Change("result", f"{LONG} two red apples", f"{LONG} two green apples", 0, "t", {}))
    assert item["lines"] == [
        ["-", [f"{LONG} two ", "red", " apples"], 0],
        ["+", [f"{LONG} two ", "green", " apples"], 0],
    ]
    assert (item["counts"], item["tool"]) == ("2 queries, 2 calls", "t")


def test_a_new_error_is_marked() -> None:
    """The line of an error in place of a result is marked, so that the page does not show it as an improvement."""
    (item,) = items(Change("result", 5, f"no {LONG}", 0, "t", {}, (False, True)))
    assert item["lines"][-1] == ["+", [f"error: no {LONG}"], 1]


def test_a_short_change_is_in_the_title_only() -> None:
    """No line repeats the values of the title."""
    (item,) = items(Change("result", {"state": "shipped"}, {"state": "in_transit"}, 0, "get_order", {}))
    assert (item["title"], item["lines"]) == ("get_order → state: shipped → in_transit", [])
