"""Differences between the queries of a run and those of its continuation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcprun.engine.resume import Difference

digests = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("xyz"))


@given(digests, digests)
def test_a_difference_lists_every_change_once(before: dict[str, str], after: dict[str, str]) -> None:
    """A difference lists each added, removed or changed query, and is empty only if digests and order are equal."""
    difference = Difference.between(before, after)
    unchanged = {name for name in before if name not in difference.removed and name not in difference.changed}
    assert unchanged == {name for name in after if name not in difference.added and name not in difference.changed}
    assert {name: before[name] for name in unchanged} == {name: after[name] for name in unchanged}
    assert all(before[name] != after[name] for name in difference.changed)
    assert bool(difference) == (list(before.items()) != list(after.items()))
    assert bool(str(difference)) == bool(difference)
