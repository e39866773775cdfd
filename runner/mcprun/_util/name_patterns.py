"""Match names of queries, tags, tools and files by `fnmatch` patterns; an exact name takes precedence. Pure.

`a[1]` is the name `a[1]` if that exists, else a pattern for `a1`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from fnmatch import fnmatchcase

_WILDCARDS = frozenset("*?[")


def fits(name: str, patterns: Iterable[str], names: Container[str] = ()) -> bool:
    """Return whether a name equals a pattern, or matches one that is not in `names` itself. Case-sensitive."""
    return any(name == pattern or (pattern not in names and fnmatchcase(name, pattern)) for pattern in patterns)


def with_wildcards(patterns: Iterable[str]) -> frozenset[str]:
    """Return the patterns with wildcards, which may match other names than their own."""
    return frozenset(pattern for pattern in patterns if _WILDCARDS & {*pattern})
