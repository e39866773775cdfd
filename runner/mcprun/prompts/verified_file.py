"""A prompts file that an earlier process of the same run has checked: lines of what is done are not looked at again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO

from mcprun._util.compact import Digests
from mcprun._util.json_lines import lines
from mcprun._util.json_text import loads
from mcprun.prompts.query import Query, parse_query


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What a whole file was found to hold, none of whose queries asks for repeats or a pass rate.

    `sha256` is the hash of its bytes, `digests` are the queries' by their ids, in order; `scripted` and `judged` count
    those with a script, and with a rubric.
    """

    sha256: str
    digests: Digests
    scripted: int
    judged: int

    def suffices(self, *, need_script: bool) -> bool:
        """Tell whether a run can go by this, which may need a script of every query."""
        return not need_script or self.scripted == len(self.digests)

    def queries(self, source: IO[bytes], is_over: Callable[[str], bool]) -> Iterator[Query | None]:
        """Stream the queries that are not over, by their ids; `None` for one that is not what it was, and no more."""
        written = (raw for _, raw in lines(source, "", []) if raw.strip())
        for raw, expected in zip_longest(written, self.digests.items()):
            if raw and expected and is_over(expected[0]):
                continue
            query = _query(raw, *expected) if raw and expected else None
            yield query
            if not query:
                return


def _query(raw: bytes, name: str, digest: str) -> Query | None:
    """Read a line whose query is known by this id, which may have been made for it."""
    try:
        query = parse_query(loads(raw)).model_copy(update={"id": name})
    except ValueError:
        return None
    return query if query.digest == digest else None
