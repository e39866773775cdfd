"""Words that differ within a line, in the terminal and side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.report.html.side_by_side import side_by_side, word_by_word
from mcprun.report.word_marks import word_marks
from tests.support.json_strategies import JSON


@pytest.mark.parametrize(
    ("before", "after", "marked"),
    [
        ('"state": "shipped",', '"state": "in_transit",', [["shipped"], ["in_transit"]]),
        ("shipping: 2.5", "shipping: 0.0", [["2.5"], ["0.0"]]),
        ("at 2026-11-20 10:00", "at 2026-12-24 10:00", [["11-20"], ["12-24"]]),
        (r'"text": "one\nold\nmore"', r'"text": "one\nnew\nmore"', [["old"], ["new"]]),
        ("the terms", "the new terms", [[""], ["new "]]),
        ("日本語です", "日本人です", [["語"], ["人"]]),
        ("a 👩\u200d👩\u200d👧 here", "a 👩\u200d👩\u200d👦 here", [["👩\u200d👩\u200d👧"], ["👩\u200d👩\u200d👦"]]),
        ("cafe\u0301 is open", "cafe is open", [["cafe\u0301"], ["cafe"]]),
    ],
)
def test_only_the_words_that_differ_are_marked(before: str, after: str, marked: list[list[str]]) -> None:
    """Numbers, words, joined emoji and letters with their marks are never split."""
    sides = word_marks(before, after)
    assert sides is not None
    assert [side[1::2] for side in sides] == marked


@pytest.mark.parametrize(("before", "after"), [("a b c", "x y z"), ("", "x"), ("", ""), ("x" * 5000, "x" * 4999 + "y")])
def test_lines_that_share_little_are_not_marked_by_word(before: str, after: str) -> None:
    """Two lines that share little, or are very long, simply differ."""
    assert word_marks(before, after) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_the_parts_add_up_to_the_lines(before: str, after: str) -> None:
    """The parts of a line add up to it, and every second one is the same on both sides."""
    for one, other in ((before, after), (f"same words {before}", f"same words {after}")):
        if sides := word_marks(one, other):
            assert ["".join(side) for side in sides] == [one, other]
            assert sides[0][::2] == sides[1][::2]


@given(JSON, JSON)
def test_lines_are_the_same_with_and_without_words(before: object, after: object) -> None:
    """Marking words changes no line."""
    plain, marked = side_by_side(before, after), word_by_word(before, after)
    for side, other in zip(plain, marked, strict=True):
        assert side == [("".join(text) if isinstance(text, list) else text, is_marked) for text, is_marked in other]


def test_lines_are_paired_within_each_change() -> None:
    """A line is compared with the one at the same place of its change, not with one of another change."""
    before = "two red apples\nthree red plums\nsame\nfour old pears"
    after = "two green apples\nsame\nfour new pears"
    sides = word_by_word(before, after)
    words = [[part for text, _ in side if isinstance(text, list) for part in text[1::2]] for side in sides]
    assert words == [["red", "old"], ["green", "new"]]
