"""Differences between texts that look alike are shown as code points."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.code_points import look_alike, reveal, reveal_name
from mcprun.analysis.diff.transcripts import Change
from mcprun.checks.calls import exact
from mcprun.checks.expect import ExpectedCall
from mcprun.checks.one_call import mismatch
from mcprun.report.html.side_by_side import side_by_side
from mcprun.tools.format import ValueFormatter
from tests.support.runs import call
from tests.support.value_pairs import value_pairs

LOOK_ALIKE = [
    ("caf\u00e9!", "cafe\u0301!", "caf<U+00E9>!", "cafe<U+0301>!"),
    ("\ud55c", "\u1112\u1161\u11ab", "<U+D55C>", "<U+1112><U+1161><U+11AB>"),
    ("ab", "a\u200bb", "ab", "a<U+200B>b"),
    ("ab", "\ufeffab", "ab", "<U+FEFF>ab"),
    ("ab", "a\u00adb", "ab", "a<U+00AD>b"),
    ("ab", "ab\u202e", "ab", "ab<U+202E>"),
    ("\u2764", "\u2764\ufe0f", "\u2764", "\u2764<U+FE0F>"),
    ("a b", "a\u00a0b", "a<U+0020>b", "a<U+00A0>b"),
    ("a b", "a\tb", "a<U+0020>b", "a<U+0009>b"),
    ("a b", "a  b", "a b", "a <U+0020>b"),
    ("ab", "ab ", "ab", "ab<U+0020>"),
    ("ab", " ab", "ab", "<U+0020>ab"),
    ("ab", "ab\r", "ab", "ab<U+000D>"),
    ("", "\u3164", "", "<U+3164>"),
    ("paypal", "p\u0430ypal", "paypal", "p<U+0430>ypal"),
    ("a-b", "a\u2011b", "a-b", "a<U+2011>b"),
    ("fin", "\ufb01n", "fin", "<U+FB01>n"),
    ("\u00e9?", "e\u0301!", "<U+00E9>?", "e<U+0301>!"),
]

DISTINCT = [("naive", "na\u00efve"), ("ab", "a b"), ("\u4f60", "\u518d"), ("a one", "a two"), ("a", "\u00e9")]


@pytest.mark.parametrize(("one", "other", "shown", "other_shown"), LOOK_ALIKE)
def test_invisible_difference_is_shown_as_code_points(one: str, other: str, shown: str, other_shown: str) -> None:
    """Only the characters that differ are replaced, on both sides."""
    assert reveal(one, other) == (shown, other_shown)
    assert reveal(other, one) == (other_shown, shown)
    assert reveal(f"\u00e9 {one} x", f"\u00e9 {other} x")[0][:2] == "\u00e9 "


@pytest.mark.parametrize(("one", "other"), DISTINCT)
def test_visible_difference_is_unchanged(one: str, other: str) -> None:
    """Texts of any script stay readable."""
    assert reveal(one, other) == (one, other)


@given(st.text(max_size=8), st.text(max_size=8))
def test_different_texts_stay_different_after_normalization(one: str, other: str) -> None:
    """The shown texts are equal only if the texts are, even after NFC normalization and without surrounding space."""
    shown, other_shown = reveal(one, other)
    assert (shown == other_shown) == (one == other)
    normal = [unicodedata.normalize("NFC", text).strip() for text in (shown, other_shown)]
    assert (normal[0] == normal[1]) == (one == other)


def test_name_in_another_normal_form_shows_code_points() -> None:
    """A removed name and an added name may look the same."""
    assert (reveal_name("caf\u00e9"), reveal_name("cafe\u0301")) == ("caf\u00e9", "cafe<U+0301>")


def test_call_mismatch_shows_code_points() -> None:
    """The message shows code points in inputs, results and tool names."""
    actual = call("get", "cafe\u0301", input={"k": "a\u200bb"})
    for expected, message in (
        ({"input": {"k": "ab"}}, 'input.k: expected "ab", got "a<U+200B>b"'),
        ({"input": {"k\u200b": 1}}, "input.k<U+200B>: missing, expected 1, got input.k"),
        ({"result": "caf\u00e9"}, 'result: expected "caf<U+00E9>", got "cafe<U+0301>"'),
    ):
        assert mismatch(ExpectedCall.model_validate({"tool": "get", **expected}), actual, ValueFormatter()) == message
    _, problem = exact([ExpectedCall(tool="g\u0435t")], [actual], ValueFormatter())
    assert problem == 'expected call 0 is missing: g<U+0435>t{}; got call 0, get{k: "a<U+200B>b"}'


@pytest.mark.parametrize(("one", "other", "shown", "other_shown"), LOOK_ALIKE)
def test_value_difference_shows_code_points(one: str, other: str, shown: str, other_shown: str) -> None:
    """Code points are shown in a value, in a multi-line text and in an object key, also side by side."""

    def lines(before: Any, after: Any) -> list[str]:
        return [f"{sign} {text}" for sign, text in value_pairs(Change("result", before, after)) if sign != " "]

    quoted = shown or '""'
    assert lines({"a": one}, {"a": other}) == [f"- a: {quoted}", f"+ a: {other_shown}"]
    if one:
        assert lines(f"x\n{one}", f"x\n{other}") == [f"- {shown}", f"+ {other_shown}"]
        assert look_alike(one, other) == (lines({one: 1}, {other: 1}) == [f"- {shown}: 1", f"+ {other_shown}: 1"])
    sides = side_by_side({"a": one}, {"a": other})
    assert [marked_lines(side) for side in sides] == [[f'  "a": "{shown}"'], [f'  "a": "{other_shown}"']]
    sides = side_by_side(f"x\n{one}.", f"x\n{other}.")
    assert marked_lines(sides[0]) != marked_lines(sides[1])


def marked_lines(side: list[tuple[str, bool]]) -> list[str]:
    """Return the marked lines."""
    return [line for line, is_marked in side if is_marked]


def test_side_by_side_shows_line_ending_differences() -> None:
    """A carriage return and a missing final newline are marked."""
    before, after = side_by_side("a\r\nb\n", "a\nb")
    assert before == [("a<U+000D>", True), ("b", True)]
    assert after == [("a", True), ("b  (no newline at the end)", True)]
