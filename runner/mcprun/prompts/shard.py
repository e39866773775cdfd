"""A part of a prompts file, for machines that share its queries, and how the parts are one again. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Self, TypeVar

from mcprun.errors import UsageError

T = TypeVar("T")

_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` parts, counted from 1: of the selected queries every `of`-th, from the `number`-th on.

    So parts differ by at most one query, and neighbours, which often take equally long, are spread.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `I/N`, such as `2/4`. Raises `UsageError`."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise UsageError(f"--shard takes I/N, the I-th of N parts, such as 2/4, and not {text!r}")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def takes(self, place: int) -> bool:
        """Tell whether the query at a place among those that are selected, counted from 0, is in this part."""
        return place % self.of == self.number - 1


def joined(parts: Sequence[Iterable[T]]) -> Iterator[T]:
    """Put the parts 1/N to N/N together again, in the order of the whole; one that is missing is empty."""
    for row in zip_longest(*parts, fillvalue=_NOTHING):
        for one in row:
            if one is not _NOTHING:
                yield one  # type: ignore[misc]  # mypy knows no type of a single value
