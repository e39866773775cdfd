"""Name pytest's items such that each node id that pytest prints selects that item alone.

pytest splits the `FILE::NAME` of its command line at the first `[`, and the part before that at each `::`. All parts
but the last name collectors, and a name without brackets selects every item called `NAME[...]`. Since version 9.2
pytest compares node ids in that split form too (`_pytest/nodeid.py`), and adds a missing closing bracket when it prints
one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class NodeNames:
    """Names the queries of one file. `queries` are their ids."""

    def __init__(self, queries: Iterable[str]) -> None:
        self._taken = {prefix for query in queries for prefix in _prefixes(query)}

    def of(self, query: str, repeat: int | None = None) -> str:
        """Return the name of a query, or of one of its repeats: the id, or `ID[REPEAT]`.

        `[1]` is appended until the name is unique, and ends with a bracket if it contains one.
        """
        name = query if repeat is None else f"{query}[{repeat}]"
        while name in self._taken or ("[" in name and not name.endswith("]")):
            name += "[1]"
        self._taken.add(name)
        return name


def split(name: str) -> tuple[tuple[str, ...], str]:
    """Split a name as pytest does. Return the names of its collectors, if any, and the name of the item."""
    before, bracket, after = name.partition("[")
    *groups, item = before.split("::")
    return tuple(groups), f"{item}{bracket}{after}"


def heading(name: str) -> str:
    """Return the heading of an item's failure report.

    pytest replaces each dot in a heading by `::` if a node id ends with the heading (`_locationline` of
    `_pytest/terminal.py`), and so prints an id that does not exist. A leading space prevents that: no node id ends with
    a space and the whole name.
    """
    return f" {name}" if "." in name.partition("[")[0] else name


def _prefixes(name: str) -> Iterator[str]:
    """Yield the names that select more than the query of that name: its collectors, and the part before its bracket."""
    groups, item = split(name)
    for count in range(1, len(groups) + 1):
        yield "::".join(groups[:count])
    if "[" in item:
        yield name.partition("[")[0]
