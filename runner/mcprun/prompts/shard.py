"""Split the queries of a prompts file into shards for several machines, and merge the shards in order. Pure."""

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
    """One of `of` shards, counted from 1: every `of`-th of the selected queries, starting with the `number`-th.

    So shards differ in size by at most one query, and neighbouring queries, which often take equally long, are spread.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `I/N`, such as `2/4`. Raises `UsageError` if the text has another form."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            parts = f"; {of} parts are numbered from 1/{of} to {of}/{of}" if of > 1 else ""
            raise UsageError(f"--shard must be I/N, the I-th of N parts, such as 2/4, not {text!r}{parts}")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def takes(self, index: int) -> bool:
        """Return whether the selected query at index `index` (from 0) is in this shard."""
        return index % self.of == self.number - 1


def merge_shards(parts: Sequence[Iterable[T]]) -> Iterator[T]:
    """Merge the shards 1/N to N/N in the original order. A missing shard must be passed as an empty one."""
    for row in zip_longest(*parts, fillvalue=_NOTHING):
        for one in row:
            if one is not _NOTHING:
                yield one  # type: ignore[misc]  # mypy can't exclude the sentinel
