"""Read a prompts file that an earlier process of the same run has checked. Lines of finished queries are skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from mcprun._util.compact_index import Digests
from mcprun._util.json_lines import lines
from mcprun._util.json_text import loads
from mcprun.prompts.query import Query, parse_query


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """The result of checking a whole file in which no query sets `repeat` or a pass rate.

    `sha256` is the hash of its bytes. `digests` are the digests of its queries by id, in order. `scripted` and `judged`
    count the queries with a script, and with a rubric.
    """

    sha256: str
    digests: Digests
    scripted: int
    judged: int

    def suffices(self, *, need_script: bool) -> bool:
        """Return whether a run can rely on this result: with `need_script`, every query must have a script."""
        return not need_script or self.scripted == len(self.digests)

    def queries(self, source: IO[bytes], is_over: Callable[[str], bool]) -> Iterator[tuple[int, Query | None]]:
        """Stream the queries for whose id `is_over` is false, with their line numbers.

        Stops with `None` at the first line that has changed.
        """
        expected = iter(self.digests.items())
        line = 0
        for line, raw in lines(source, "", []):
            if not raw.strip():
                continue
            name, digest = next(expected, ("", ""))
            if name and is_over(name):
                continue
            query = _query(raw, name, digest) if name else None
            yield line, query
            if not query:
                return
        if next(expected, None):
            yield line, None


def _query(raw: bytes, name: str, digest: str) -> Query | None:
    """Parse a line, and set the recorded id, which may be a generated one. Return None if the query has changed."""
    try:
        query = parse_query(loads(raw)).model_copy(update={"id": name})
    except ValueError:
        return None
    return query if query.digest == digest else None
