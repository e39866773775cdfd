"""Patterns for names of queries, tags, tools and files: `fnmatch`, in which a name that is written out wins. Pure.

`a[1]` is the name `a[1]` if there is one, else a pattern for `a1`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from fnmatch import fnmatchcase

_WILDCARDS = frozenset("*?[")


def fits(name: str, patterns: Iterable[str], names: Container[str] = ()) -> bool:
    """Return whether a name is one of the patterns, or fits one that is none of the `names` there are; case counts."""
    return any(name == pattern or (pattern not in names and fnmatchcase(name, pattern)) for pattern in patterns)


def with_wildcards(patterns: Iterable[str]) -> frozenset[str]:
    """Return the patterns that may mean more than the name that they spell."""
    return frozenset(pattern for pattern in patterns if _WILDCARDS & {*pattern})
