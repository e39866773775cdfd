"""Compact mappings from names to numbers, which behave like a dict in less memory."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.compact_index import Digests, Numbers

names = st.text(st.characters() | st.sampled_from("\ud800\0 "), max_size=5)

numbers = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(names, numbers), max_size=60), st.lists(names))
def test_numbers_equal_a_dict(pairs: list[tuple[str, int]], others: list[str]) -> None:
    """Names, order and numbers are those of a dict with the same assignments. Absent names have no value."""
    expected, compact = dict(pairs), Numbers()
    for name, number in pairs:
        compact[name] = number
    assert list(compact.items()) == list(expected.items())
    assert len(compact) == len(expected)
    assert [name in compact for name in others] == [name in expected for name in others]
    assert [compact.get(name) for name in others] == [expected.get(name) for name in others]


@given(st.lists(st.tuples(names, numbers), max_size=60))
def test_a_name_keeps_the_number_that_it_was_added_with(pairs: list[tuple[str, int]]) -> None:
    """Adding it again returns that number, as `dict.setdefault` does."""
    expected, compact = dict[str, int](), Numbers()
    assert [compact.add(*pair) for pair in pairs] == [expected.setdefault(*pair) for pair in pairs]
    assert dict(compact) == expected


def test_many_names_take_half_the_memory_of_a_dict() -> None:
    """10,000 names are found, and need less than half of the memory."""
    compact = Numbers()
    for number in range(10_000):
        compact[f"query-{number}"] = number
    assert all(compact[f"query-{number}"] == number for number in range(10_000))
    assert "query-10000" not in compact
    parts = (compact._text, compact._ends, compact._values, compact._slots)
    plain = dict(compact)
    dict_bytes = sys.getsizeof(plain) + sum(sys.getsizeof(item) for pair in plain.items() for item in pair)
    assert sum(map(sys.getsizeof, parts)) < dict_bytes / 2


def test_names_cannot_be_deleted() -> None:
    """An absent name raises `KeyError`, and deletion raises `TypeError`."""
    compact = Numbers()
    with pytest.raises(KeyError):
        compact["q"]
    compact["q"] = 1
    with pytest.raises(TypeError):
        del compact["q"]


@given(st.dictionaries(names, numbers.map(lambda number: f"{number:016x}")))
def test_digests_are_unchanged(expected: dict[str, str]) -> None:
    """Leading zeros are kept."""
    digests = Digests()
    for name, digest in expected.items():
        digests.add(name, digest)
    assert list(digests.items()) == list(expected.items())
