"""Numbers by name: what a dict would hold, in less memory."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun._util.compact import Digests, Numbers

names = st.text(st.characters() | st.sampled_from("\ud800\0 "), max_size=5)

numbers = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(names, numbers), max_size=60), st.lists(names))
def test_it_holds_what_a_dict_holds(pairs: list[tuple[str, int]], others: list[str]) -> None:
    """The same names in the same order with the same numbers, the last where a name came twice; and no others."""
    plain, compact = dict(pairs), Numbers()
    for name, number in pairs:
        compact[name] = number
    assert list(compact.items()) == list(plain.items())
    assert len(compact) == len(plain)
    assert [name in compact for name in others] == [name in plain for name in others]
    assert [compact.get(name) for name in others] == [plain.get(name) for name in others]


def test_it_grows() -> None:
    """Many names are found again, and take less than half of what a dict takes."""
    compact = Numbers()
    for number in range(10_000):
        compact[f"query-{number}"] = number
    assert all(compact[f"query-{number}"] == number for number in range(10_000))
    assert "query-10000" not in compact
    parts = (compact._text, compact._ends, compact._values, compact._slots)
    plain = dict(compact)
    dicts = sys.getsizeof(plain) + sum(sys.getsizeof(one) for pair in plain.items() for one in pair)
    assert sum(map(sys.getsizeof, parts)) < dicts / 2


def test_names_stay() -> None:
    """A name that is not there is a `KeyError`, and none is taken out again."""
    compact = Numbers()
    with pytest.raises(KeyError):
        compact["q"]
    compact["q"] = 1
    with pytest.raises(TypeError):
        del compact["q"]


@given(st.dictionaries(names, numbers.map(lambda number: f"{number:016x}")))
def test_digests_come_back_as_they_were(plain: dict[str, str]) -> None:
    """Zeros in front, too."""
    digests = Digests()
    for name, digest in plain.items():
        digests.add(name, digest)
    assert list(digests.items()) == list(plain.items())
