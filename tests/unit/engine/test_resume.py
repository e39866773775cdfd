"""Differences between the arguments of a run and of its continuation."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.engine.resume import Difference

if sys.platform == "win32":
    pytest.skip("signals and files of POSIX systems", allow_module_level=True)

digests = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("xyz"))


@given(digests, digests)
def test_a_difference_leads_from_one_to_the_other(before: dict[str, str], after: dict[str, str]) -> None:
    """Everything that differs is named once, and nothing else."""
    difference = Difference.between(before, after)
    kept = {name for name in before if name not in difference.removed and name not in difference.changed}
    assert kept == {name for name in after if name not in difference.added and name not in difference.changed}
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}
    assert all(before[name] != after[name] for name in difference.changed)
    assert bool(difference) == (list(before.items()) != list(after.items()))
    assert bool(str(difference)) == bool(difference)
