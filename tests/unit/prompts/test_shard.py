"""Shards partition a prompts file."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcprun.engine.options import Options
from mcprun.engine.verdict_rules import LIMITS, RULES
from mcprun.errors import UsageError
from mcprun.limits import Limits
from mcprun.prompts.shard import Shard, merge_shards


@given(st.lists(st.integers()), st.integers(1, 9))
def test_shards_partition_the_values(values: list[int], of: int) -> None:
    """Each value is in one shard, the order is kept, and the sizes of shards differ by at most one."""
    shards = [Shard(number, of) for number in range(1, of + 1)]
    parts = [[value for index, value in enumerate(values) if shard.takes(index)] for shard in shards]
    assert list(merge_shards(parts)) == values
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "-1/2", "1/0", "1/2/3", "a/b", "1 / 2", "٣/٤"])
def test_an_invalid_shard_is_rejected(text: str) -> None:
    """The error of an invalid shard shows the expected format."""
    with pytest.raises(UsageError, match="I/N, the I-th of N parts, such as 2/4"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["5/4", "0/4"])
def test_a_part_that_does_not_exist_is_answered_with_those_that_do(text: str) -> None:
    """The error of a part beyond the number of parts names the first and the last."""
    with pytest.raises(UsageError, match="; 4 parts are numbered from 1/4 to 4/4"):
        Shard.parse(text)


def test_verdict_rules_are_options_with_equal_defaults() -> None:
    """The verdict rules of a run are fields of `Options` with the same defaults.

    Those of a query are fields of `Limits`.
    """
    assert {name: getattr(Options(), name) for name in RULES} == RULES
    assert LIMITS.keys() <= {field.name for field in fields(Limits)}
