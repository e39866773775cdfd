"""Read the queries of a prompts file again that this process has checked, without checking them again."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import IO
from zlib import crc32

from mcprun._util.json_lines import lines
from mcprun.prompts.query import Query, parse_query


class CheckedLines:
    """The lines of a file that hold the selected queries, in order: their numbers, and checksums of their bytes.

    They take 8 bytes per query. `total` is the number of lines in the file that are not blank.
    """

    def __init__(self) -> None:
        self.total = 0
        self._numbers = array("I")
        self._checksums = array("I")

    def add(self, number: int, raw: bytes) -> None:
        """Add the next line, by its number from 1."""
        self._numbers.append(number)
        self._checksums.append(crc32(raw))

    def only(self, keep: Iterable[bool]) -> CheckedLines:
        """Return the lines restricted to those for which `keep` holds true, in the same order."""
        kept = CheckedLines()
        kept.total = self.total
        for number, checksum, is_kept in zip(self._numbers, self._checksums, keep, strict=True):
            if is_kept:
                kept._numbers.append(number)
                kept._checksums.append(checksum)
        return kept

    def queries(
        self, source: IO[bytes], names: Iterable[str], is_over: Callable[[str], bool]
    ) -> Iterator[tuple[int, Query | None]]:
        """Stream the queries for whose id `is_over` is false, with their line numbers.

        `names` are the ids of the queries, in order. Stops with `None` at the first line that has changed, and at the
        end of the file if lines were added or removed.
        """
        expected = zip(self._numbers, self._checksums, names, strict=True)
        number, checksum, name = next(expected, (0, 0, ""))
        line = total = 0
        problems: list[str] = []
        for line, raw in lines(source, "", problems):
            total += bool(raw.strip())
            if line != number:
                continue
            if crc32(raw) != checksum:
                yield line, None
                return
            if not is_over(name):
                yield line, _query(raw, name)
            number, checksum, name = next(expected, (0, 0, ""))
        if number or total != self.total or problems:
            yield line, None


def _query(raw: bytes, name: str) -> Query:
    """Parse a line that was checked, and set the id, which may be a generated one."""
    query = parse_query(json.loads(raw))
    return query if query.id == name else query.model_copy(update={"id": name})
