"""Text for the terminal: visible characters and differences."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mcprun.report.text import visible
from mcprun.runs.transcript import Call
from mcprun.tools.format import ValueFormatter


@given(st.text())
def test_visible_text_keeps_to_its_place(text: str) -> None:
    """Whatever the text, only printable characters, line breaks and tabs are left."""
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    left = {character for character in visible(text) if unicodedata.category(character) in unseen}
    assert left <= {"\n", "\t"}


@given(st.text() | st.text(alphabet="ab \n", max_size=400), st.text(max_size=3), st.text(max_size=3))
def test_what_differs_is_shown_to_differ(alike: str, one: str, other: str) -> None:
    """Two texts, or two values, that are not the same are never shown as the same, however long, and bounded."""
    for text in (alike, alike * 50):
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
