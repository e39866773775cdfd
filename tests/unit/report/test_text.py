"""Terminal text: escaping of invisible characters, and differences."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.code_points import emoji_joiners
from mcprun.report.text import one_line, verdict_count, visible, visible_json
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter


@given(st.text())
def test_visible_text_has_no_control_characters(text: str) -> None:
    """Only printable characters, line breaks and tabs remain, apart from the joiners of emoji."""
    invisible = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown = visible(text)
    joiners = emoji_joiners(shown)
    found = {
        character
        for at, character in enumerate(shown)
        if unicodedata.category(character) in invisible and at not in joiners
    }
    assert found <= {"\n", "\t"}


@given(st.text(st.sampled_from("a\n\t\r \u00a0\u202e")))
def test_lines_are_escaped_like_their_parts(text: str) -> None:
    """Line breaks and tabs stay, beside text that is escaped and beside text that is not."""
    text = re.sub("\r+\n", "\n", text)
    assert visible(text) == "".join(map(visible, text))


@given(st.text(), st.integers(1, 30))
def test_one_line_is_the_start_of_the_whole_line(text: str, length: int) -> None:
    """Only as much of a text is escaped as is shown, however long it is."""
    whole = visible(" ".join(text.split()))
    line = one_line(text, length)
    assert line == whole if len(whole) <= length else line == f"{whole[: length - 1]}…"


@pytest.mark.parametrize(
    "emoji",
    ["👨‍👩‍👧", "🏳️‍🌈", "🏴‍☠️", "❤️‍🔥", "👩🏽‍💻", "🧑🏿‍❤️‍💋‍🧑🏻", "🤷‍♀️", "🙂‍↔️", "🐦‍⬛"],
)
def test_an_emoji_of_several_is_shown_whole(emoji: str) -> None:
    """The joiners between its parts are kept, in text and in JSON."""
    assert "\u200d" in emoji
    assert visible(f"a {emoji}{emoji}\u202e") == f"a {emoji}{emoji}\\u202e"
    assert visible_json(f'"{emoji}"') == f'"{emoji}"'
    assert visible(ValueFormatter().text(f"a {emoji}")) == f"'a {emoji}'"


@pytest.mark.parametrize(
    "text",
    [
        "a\u200db",
        "👨\u200da",
        "a\u200d👩",
        "\u200d👩",
        "👨\u200d",
        "👨\u200d\u200d👩",
        "a\ufe0f\u200d👩",
        "1\u200d2",
        "न\u200dम",
    ],
)
def test_other_joiners_are_escaped(text: str) -> None:
    """A joiner next to a letter, a digit, an end or another joiner could hide text or make two texts look alike."""
    assert "\u200d" not in visible(text)
    assert visible(text).count("\\u200d") == text.count("\u200d")
    assert ValueFormatter().text(text) == repr(text)


def test_a_written_escape_is_no_joiner() -> None:
    """A text that contains a backslash and `u200d` between two emoji stays as it is, with its backslash doubled."""
    assert ValueFormatter().text("👨\\u200d👩") == r"'👨\\u200d👩'"


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_visible_json_has_the_same_value_and_no_control_characters(value: object) -> None:
    """Control and format characters are escaped as JSON does."""
    for indent in (None, 2):
        text = visible_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(text) == value
        assert visible(text) == text


def test_verdicts_are_counted_in_words() -> None:
    """Only `error` is a noun, and has a plural."""
    assert [verdict_count(verdict, 1) for verdict in ("passed", "error")] == ["1 passed", "1 error"]
    assert [verdict_count(verdict, 2000) for verdict in ("failed", "error")] == ["2,000 failed", "2,000 errors"]


@given(st.text() | st.text(alphabet="ab \n", max_size=400), st.text(max_size=3), st.text(max_size=3))
def test_different_values_are_shown_differently(common: str, one: str, other: str) -> None:
    """Values of any length are shown as equal only if they are, and in bounded length."""
    for text in (common, common * 50):
        before, after = f"{text}{one}{text}", f"{text}{other}{text}"
        for expected in (
            ValueFormatter().texts(before, after),
            ValueFormatter().both(before, after),
            ValueFormatter().both([before], [after]),
        ):
            assert (expected[0] == expected[1]) == (before == after)
            assert max(map(len, expected)) < 2500
        call = Call(turn=0, tool="a", input={}, is_error=False, content=[{"type": "text", "text": before}])
        others = (
            call.model_copy(update={"content": [{"type": "text", "text": after}]}),
            call.model_copy(update={"structured": {"n": other}}),
            call.model_copy(update={"is_error": True}),
        )
        for changed in others:
            expected = ValueFormatter().results(call, changed)
            assert (expected[0] == expected[1]) == (call == changed)
