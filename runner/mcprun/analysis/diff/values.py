"""Find the places where two JSON values differ. Pure.

Items of lists are paired first, so that an inserted item is one difference rather than one at each following index.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcprun._util.json_path import child_path
from mcprun._util.json_value import json_equal
from mcprun.analysis.diff.item_pairs import pair_items


class _Absent:
    """The type of `ABSENT`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
"""Stands for a value that only the other side has."""


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """A place where two JSON values differ, with the values there, or `ABSENT`.

    The paths before and after, such as `items[0].name`, differ if an item of a list was added or removed in front. The
    path of a value that is absent is that of the other one.
    """

    paths: tuple[str, str]
    before: Any
    after: Any

    @property
    def path(self) -> str:
        """The path of the value after the change, or of a value that was removed."""
        return self.paths[0] if self.after is ABSENT else self.paths[1]


def value_differences(before: Any, after: Any, path: str = "") -> Iterator[ValueDifference]:
    """Yield the places where two JSON values differ, in order."""
    return _differences(before, after, path, path)


def _differences(before: Any, after: Any, path: str, other_path: str) -> Iterator[ValueDifference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            paths = child_path(path, key), child_path(other_path, key)
            yield from _differences(before.get(key, ABSENT), after.get(key, ABSENT), *paths)
    elif isinstance(before, list) and isinstance(after, list):
        for one, other in pair_items(before, after):
            items = (ABSENT if one is None else before[one]), (ABSENT if other is None else after[other])
            paths = _item_path(path, one, other), _item_path(other_path, other, one)
            yield from _differences(*items, *paths)
    elif not json_equal(before, after):
        yield ValueDifference((path, other_path), before, after)


def _item_path(path: str, index: int | None, other: int | None) -> str:
    return child_path(path, (other or 0) if index is None else index)
