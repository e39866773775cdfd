"""Differences of two JSON values: lists are aligned, and each difference has its path on both sides."""

from __future__ import annotations

import copy
import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_value import json_equal, json_same
from mcprun.analysis.diff.item_pairs import pair_items
from mcprun.analysis.diff.json_lines import as_json
from mcprun.analysis.diff.runs import RunDiff
from mcprun.analysis.diff.scrub import Scrubber
from mcprun.analysis.diff.transcripts import Change, CompareOptions
from mcprun.analysis.diff.values import ABSENT, value_differences
from mcprun.report.html.side_by_side import side_by_side
from mcprun.report.html.transcript_pairs import pair_json
from tests.support.json_strategies import JSON
from tests.support.transcripts import call, changes, transcript
from tests.support.transcripts import lines as lines_of
from tests.support.value_pairs import value_pairs

MANY = 10_000


def rows(*ids: int, **more: Any) -> list[dict[str, Any]]:
    """Return objects with these ids."""
    return [{"id": at, "name": f"row {at}", "tags": ["a", "b"], **more} for at in ids]


def shown(before: Any, after: Any) -> list[str]:
    """Return the lines that the terminal and Markdown show for a changed result."""
    return [f"{sign} {text}" for sign, text in value_pairs(Change("result", before, after, 0, "t"))]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ([1, 2, 3], [0, 1, 2, 3], ["+ [0]: 0"]),
        ([1, 2, 3], [1, 3], ["- [1]: 2"]),
        ([1, 2, 3], [2, 3, 4], ["- [0]: 1", "+ [2]: 4"]),
        ([1, 2], [1, 5], ["- [1]: 2", "+ [1]: 5"]),
        ([1], [5, 6], ["- [0]: 1", "+ [0]: 5", "+ [1]: 6"]),
        ({"a": [[1], [2]]}, {"a": [[0], [1], [2]]}, ["+ a[0]: [0]"]),
        (
            {"rows": rows(1, 2, 3)},
            {"rows": [*rows(0), *rows(1), *rows(2, name="new"), *rows(3)]},
            ['+ rows[0]: {"id": 0, "name": "row 0", "tags": ["a", "b"]}', "- rows[1].name: row 2", "+ rows[2].name: new"],
        ),
        (rows(1, 2, n=1), rows(2, 3, n=2), ['- [0]: {"id": 1, "name": "row 1", "tags": ["a", "b"], "n": 1}',
                                            '+ [1]: {"id": 3, "name": "row 3", "tags": ["a", "b"], "n": 2}',
                                            "- [1].n: 1", "+ [0].n: 2"]),
        (rows(1, 2), rows(8, 9), ["- [0].id: 1", "+ [0].id: 8", "- [1].id: 2", "+ [1].id: 9",
                                  "- [0].name: row 1", "+ [0].name: row 8", "- [1].name: row 2", "+ [1].name: row 9"]),
        ([{"v": "x", "n": 1, "m": 1}], [{"v": "new", "n": 0, "m": 0}, {"v": "x", "n": 1, "m": 2}],
         ['+ [0]: {"v": "new", "n": 0, "m": 0}', "- [0].m: 1", "+ [1].m: 2"]),
        ({"a.b": [1]}, {"a.b": [1, 2]}, ['+ ["a.b"][1]: 2']),
    ],
)  # fmt: skip
def test_lists_whose_length_changed_are_aligned(before: Any, after: Any, lines: list[str]) -> None:
    """An inserted item is one difference. A changed one is shown with its path on each side."""
    assert shown(before, after) == lines


def test_side_by_side_marks_only_the_inserted_item() -> None:
    """The lines of an item that was inserted in front are marked, and no others."""
    before, after = side_by_side({"rows": rows(1, 2)}, {"rows": rows(0, 1, 2)})
    assert [line for line, is_marked in before if is_marked] == []
    assert [line.strip() for line, is_marked in after if is_marked][:2] == ["{", '"id": 0,']
    assert sum(is_marked for _, is_marked in after) == 8
    assert [line for line, _ in before[2:10]] == [""] * 8
    assert (before[10:], before[:2]) == (after[10:], after[:2])


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (list(range(MANY)), [-1, *range(MANY)], 1),
        (rows(*range(MANY)), rows(*range(1, MANY + 1)), 2),
        (["a", "b"] * MANY, ["a", *["b", "a"] * MANY], 1),
        (list(range(MANY)), list(range(MANY, 2 * MANY + 1)), MANY + 1),
        (list(range(5 * MANY)), [-1, *range(9, 2 * MANY), *range(2 * MANY + 1, 5 * MANY), 0], 12),
        ([at % 100 for at in range(3 * MANY)], [0, *(at * 7 % 100 for at in range(3 * MANY))], 3 * MANY),
        ([{"id": f"{at}", "v": at} for at in range(MANY)], [{"id": f"x{at}", "v": at} for at in range(MANY + 1)], MANY + 1),
    ],
    ids=["numbers", "objects", "alternating", "different", "very long", "recurring", "new ids"],
)  # fmt: skip
def test_long_lists_are_aligned(before: list[Any], after: list[Any], count: int) -> None:
    """Lists of 10,000 items are aligned, whatever they hold."""
    assert len(list(islice(value_differences(before, after), 4 * MANY))) == count


def test_deep_values_are_compared() -> None:
    """Lists within lists are aligned at every level, as deep as a server's value may be."""
    before: Any = [1]
    after: Any = [0, 1]
    for _ in range(190):
        before, after = [0, before], [1, 0, after]
    assert len(list(value_differences(before, after))) > 1


@given(JSON, JSON)
def test_every_difference_is_listed(before: Any, after: Any) -> None:
    """Equal values have no differences. Unequal ones have at least one, and the two values of each differ."""
    found = list(value_differences(before, after))
    assert (found == []) == json_same(before, after)
    for place in found:
        assert place.before is ABSENT or place.after is ABSENT or not json_equal(place.before, place.after)
    assert list(value_differences(before, copy.deepcopy(before))) == []


@given(st.lists(st.integers(0, 3) | JSON, max_size=8), st.lists(st.integers(0, 3) | JSON, max_size=8))
def test_each_item_is_in_one_pair(before: list[Any], after: list[Any]) -> None:
    """Every item of both lists is in exactly one pair, and the pairs keep the order of each list."""
    pairs = pair_items(before, after)
    assert [one for one, _ in pairs if one is not None] == list(range(len(before)))
    assert [other for _, other in pairs if other is not None] == list(range(len(after)))


TEXTS = [
    ("5 apples", {"apples": 5}, "6 apples", {"apples": 6}, ["- structured.apples: 5", "+ structured.apples: 6"]),
    (
        "2 tasks:\n- wash (open)",
        {"tasks": [{"title": "wash", "state": "open"}]},
        "2 tasks:\n- wash (done)",
        {"tasks": [{"title": "wash", "state": "done"}]},
        ["- structured.tasks[0].state: open", "+ structured.tasks[0].state: done"],
    ),
    (
        "Tasks:\n- wash (open)",
        {"tasks": [{"title": "wash", "state": "open"}]},
        "Tasks:\n- cook (open)\n- wash (open)",
        {"tasks": [{"title": "cook", "state": "open"}, {"title": "wash", "state": "open"}]},
        ['+ structured.tasks[0]: {"title": "cook", "state": "open"}'],
    ),
    (
        '{"n": 1}',
        {"data": {"n": 1}, "v": 1},
        '{"n": 2}',
        {"data": {"n": 2}, "v": 1},
        ["- structured.data.n: 1", "+ structured.data.n: 2"],
    ),
]
"""A text and structured content before, the same after, and the lines to show."""


@pytest.mark.parametrize(("text", "structured", "new_text", "new_structured", "lines"), TEXTS)
def test_a_change_in_text_and_in_structured_content_is_shown_once(
    text: str, structured: Any, new_text: str, new_structured: Any, lines: list[str]
) -> None:
    """A change of the text that repeats one of the structured content is left out, also side by side and in JSON."""
    sides = [transcript(calls=[call("t", *one)]) for one in ((text, structured), (new_text, new_structured))]
    (change,) = changes(sides[0], sides[1])
    assert shown(change.before, change.after) == lines
    (query,) = RunDiff(CompareOptions()).compare(lines_of(sides[:1]), lines_of(sides[1:]))
    (listed,) = json.loads(as_json(query))["changes"]
    assert len(listed["differences"]) == 1
    pair = pair_json(sides[0], sides[1], Scrubber())["calls"][0]["result"]
    assert all("content" not in line for side in pair for line, _ in side)


@pytest.mark.parametrize(
    ("text", "new_text"),
    [
        ("5 apples", "6 pears"),
        ("5 apples", "5 apples!"),
        ("5 of 6 apples", "6 of 5 apples"),
        ("5 apples", "6 apples 7"),
    ],
)
def test_another_change_of_the_text_is_shown_too(text: str, new_text: str) -> None:
    """A text that changes in more than the structured content does is shown."""
    base, head = (transcript(calls=[call("t", one, {"apples": n})]) for one, n in ((text, 5), (new_text, 6)))
    (change,) = changes(base, head)
    assert [line for line in shown(change.before, change.after) if "content" in line]
