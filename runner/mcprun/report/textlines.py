"""Which lines of two texts belong together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

MATCHED = 2000
"""Lines of a text of which each is looked for in the other, also where all are alike: that takes a second at most."""


def ends_alike(one: Sequence[str], other: Sequence[str]) -> tuple[int, int]:
    """Count the lines that two texts begin with alike, and of the others, those that they end with alike."""
    begin = _alike(one, other)
    return begin, _alike(one[begin:][::-1], other[begin:][::-1])


def matcher(one: Sequence[str], other: Sequence[str]) -> SequenceMatcher[str]:
    """Match the lines of two texts. In ones that are longer than `MATCHED`, lines that recur often count for little."""
    return SequenceMatcher(None, one, other, autojunk=max(len(one), len(other)) > MATCHED)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    shortest = min(len(one), len(other))
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), shortest)
