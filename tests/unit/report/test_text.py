"""Terminal text: escaping of invisible characters, and differences."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mcprun.report.text import visible, visible_json
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter


@given(st.text())
def test_visible_text_has_no_control_characters(text: str) -> None:
    """Only printable characters, line breaks and tabs remain."""
    invisible = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    found = {character for character in visible(text) if unicodedata.category(character) in invisible}
    assert found <= {"\n", "\t"}


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_visible_json_has_the_same_value_and_no_control_characters(value: object) -> None:
    """Control and format characters are escaped as JSON does."""
    for indent in (None, 2):
        text = visible_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(text) == value
        assert visible(text) == text


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
