"""JSON that is nested too deeply is cut off, and the rest is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_text import index_of, levels
from mcprun._util.nesting import MAX_DEPTH, TOO_DEEP, cut_off, parsed_leniently

JSON = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


def nest_lists(count: int) -> str:
    """Return JSON of nested lists."""
    return "[" * count + "]" * count


@given(JSON, st.booleans())
def test_shallow_json_is_unchanged(value: Any, is_ascii: bool) -> None:
    """Brackets and quotes within strings do not count as nesting."""
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert text == cut_off(text)
    assert value == parsed_leniently(text)


@pytest.mark.parametrize("count", [MAX_DEPTH + 1, MAX_DEPTH + 2, 5000, 200_000])
def test_deep_json_is_cut_just_above_the_limit(count: int) -> None:
    """The result still exceeds the limit, and neighboring values are kept."""
    text = f'{{"a":{nest_lists(count)},"b":[{nest_lists(count)},"]"],"c":1}}'
    found = parsed_leniently(text)
    assert MAX_DEPTH < levels(found) <= MAX_DEPTH + 2
    assert (list(found), found["c"], found["b"][1]) == (["a", "b", "c"], 1, "]")


@pytest.mark.parametrize("bad", [nest_lists(5000), nest_lists(MAX_DEPTH)])
def test_deep_field_does_not_affect_other_items(bad: str) -> None:
    """The deep value is replaced, and the other items of the list are kept."""
    text = f'{{"id":1,"result":{{"tools":[{{"name":"a","inputSchema":{bad}}},{{"name":"b"}},{bad}]}}}}'
    tools = parsed_leniently(text)["result"]["tools"]
    assert tools == [{"name": "a", "inputSchema": TOO_DEEP}, {"name": "b"}, TOO_DEEP]


def test_invalid_array_index_of_a_pointer_is_none() -> None:
    """Leading zeros, too many digits and digits of other scripts are invalid."""
    items = list("abc")
    assert [index_of(step, items) for step in ("0", "2", "3", "01", "00")] == [0, 2, None, None, None]
    for step in ("9" * 5000, "\u0661", "-1", "", "x"):
        assert index_of(step, items) is None
