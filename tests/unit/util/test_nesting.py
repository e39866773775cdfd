"""JSON that is nested too deeply, or holds numbers with too many digits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.json_text import index_of, levels
from mcprun._util.nesting import MAX_DEPTH, TOO_DEEP, cut_off, parsed_leniently

JSON = st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))


def nested(count: int) -> str:
    """Write lists in lists."""
    return "[" * count + "]" * count


@given(JSON, st.booleans())
def test_what_is_not_deep_stays_as_it_is(value: Any, is_ascii: bool) -> None:
    """Brackets and quotes within strings nest nothing."""
    text = json.dumps(value, ensure_ascii=is_ascii)
    assert text == cut_off(text)
    assert value == parsed_leniently(text)


@pytest.mark.parametrize("count", [MAX_DEPTH + 1, MAX_DEPTH + 2, 5000, 200_000])
def test_what_is_deep_is_cut_off_and_still_counts_as_deep(count: int) -> None:
    """However deep it is, and whatever stands beside it."""
    text = f'{{"a":{nested(count)},"b":[{nested(count)},"]"],"c":1}}'
    found = parsed_leniently(text)
    assert MAX_DEPTH < levels(found) <= MAX_DEPTH + 2
    assert (list(found), found["c"], found["b"][1]) == (["a", "b", "c"], 1, "]")


@pytest.mark.parametrize("bad", [nested(5000), nested(MAX_DEPTH)])
def test_a_deep_field_of_an_item_costs_no_other_item(bad: str) -> None:
    """It is replaced; what the list holds besides stays."""
    text = f'{{"id":1,"result":{{"tools":[{{"name":"a","inputSchema":{bad}}},{{"name":"b"}},{bad}]}}}}'
    tools = parsed_leniently(text)["result"]["tools"]
    assert tools == [{"name": "a", "inputSchema": TOO_DEEP}, {"name": "b"}, TOO_DEEP]


def test_a_step_of_a_pointer_that_is_no_index_means_nothing() -> None:
    """Not even one with more digits than Python reads, or with digits of another script."""
    items = list("abc")
    assert [index_of(step, items) for step in ("0", "2", "3", "01", "00")] == [0, 2, None, None, None]
    for step in ("9" * 5000, "\u0661", "-1", "", "x"):
        assert index_of(step, items) is None
