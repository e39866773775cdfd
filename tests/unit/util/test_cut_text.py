"""Parts of a text file, decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.cut_text import decode_part

TEXT = "one\nzwölf €\n\N{MAN} end\n"


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [(0, None, TEXT), (2, None, "zwölf €\n\N{MAN} end\n"), (0, 7, "one\n"), (2, -2, "zwölf €\n")],
)
def test_lines_that_are_cut_are_left_out(begin: int, end: int | None, expected: str) -> None:
    """A part begins and ends with a whole line."""
    data = TEXT.encode()
    part = decode_part(data[begin:end], is_begun=begin > 0, is_ended=end is not None)
    assert part == expected


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\ufffd"), min_size=1), st.data())
def test_an_only_line_keeps_its_whole_characters(line: str, data: st.DataObject) -> None:
    """A line that is cut at both ends begins and ends with a whole character, and loses no other."""
    encoded = line.encode()
    begin = data.draw(st.integers(0, len(encoded)))
    end = data.draw(st.integers(begin, len(encoded)))
    part = decode_part(encoded[begin:end], is_begun=begin > 0, is_ended=end < len(encoded))
    assert "\ufffd" not in part
    assert part in line
    assert len(encoded[begin:end]) - len(part.encode()) <= 6
