"""Suggestions for misspelt names."""

from __future__ import annotations

import pytest

from mcprun._util.similar_names import did_you_mean, similar_name


@pytest.mark.parametrize(
    ("name", "names", "similar"),
    [
        ("statz", ["load", "stats"], "stats"),
        ("STATS", ["load", "stats"], "stats"),
        ("get_sum", ["get-sums", "getSum"], "getSum"),
        ("getSum", ["get-sum"], "get-sum"),
        ("stats", ["stats"], ""),
        ("zzz", ["load", "stats"], ""),
        ("", ["load"], ""),
        ("--", ["__"], ""),
        ("a" * 1000, ["a" * 999], ""),
    ],
)
def test_the_most_similar_name_is_suggested(name: str, names: list[str], similar: str) -> None:
    """Case and separators do not count, and names that are not similar or far too long are not suggested."""
    assert similar_name(name, names) == similar
    assert did_you_mean(name, names) == (f"; did you mean {similar!r}?" if similar else "")
