"""Describe the differences between a value and an expected one in a message of bounded length. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from mcprun._util.code_points import reveal
from mcprun.checks.differences import MAX_COUNTED, Difference
from mcprun.checks.matchers import is_matcher
from mcprun.tools.format import ValueFormatter, line_of_difference

_MAX_SHOWN = 5
"""Maximum number of differences in a message."""

_MAX_CHARS = 700
"""Characters of a message after which no further difference is added."""


def describe(found: Iterable[Difference], root: str, formatter: ValueFormatter) -> str:
    """Describe the first few differences and count the others. `root` names the compared value, such as `result`.

    `result.status: expected "good", got "bad"; result.n: missing, expected 5; and 3 more differences`
    """
    listed = list(islice(found, MAX_COUNTED + 1))
    shown: list[str] = []
    for difference in listed[:_MAX_SHOWN]:
        if shown and sum(map(len, shown)) > _MAX_CHARS:
            break
        shown.append(_describe(difference, root, formatter))
    left = len(listed) - len(shown)
    if len(listed) > MAX_COUNTED:
        shown.append(f"and more than {MAX_COUNTED - len(shown):,} more differences")
    elif left:
        shown.append(f"and {left:,} more difference{'s' if left > 1 else ''}")
    return "; ".join(shown)


def _describe(difference: Difference, root: str, formatter: ValueFormatter) -> str:
    expected, got = difference.expected, difference.got
    at = formatter.path(_absolute(root, difference.path))
    match difference.what:
        case "missing" if difference.alike:
            at, other = reveal(at, formatter.path(_absolute(root, difference.alike)))
            return f"{at}: missing, expected {_expected(expected, formatter)}, got {other}"
        case "missing":
            return f"{at}: missing, expected {_expected(expected, formatter)}"
        case "extra":
            return f"{at}: not expected, got {formatter.short(got)}"
        case "length":
            return f"{at}: expected {_items(len(expected))}, got {len(got):,}"
    if isinstance(expected, str) and isinstance(got, str):
        one, other = formatter.differing_texts(expected, got)
        line = line_of_difference(expected, got)
        return f"{at}{f', line {line:,}' if line else ''}: expected {one}, got {other}"
    return f"{at}: expected {_expected(expected, formatter)}, got {formatter.short(got)}"


def _absolute(root: str, path: str) -> str:
    return f"{root}{path}" if not path or path.startswith("[") else f"{root}.{path}"


def _items(count: int) -> str:
    return f"{count:,} item" if count == 1 else f"{count:,} items"


def _expected(value: Any, formatter: ValueFormatter) -> str:
    """Describe an expected value, or what a matcher accepts."""
    if not is_matcher(value):
        return formatter.short(value)
    match value:
        case {"$regex": pattern}:
            return f"text matching {formatter.short(pattern)}"
        case {"$oneof": [*values]}:
            more = ["…"] if len(values) > _MAX_SHOWN else []
            return f"one of {', '.join([*map(formatter.short, values[:_MAX_SHOWN]), *more])}"
        case {"$type": names}:
            return f"type {names if isinstance(names, str) else ' or '.join(names)}"
        case {"$approx": number, "within": tolerance}:
            return f"{formatter.short(number)} ± {formatter.short(tolerance)}"
        case {"$approx": number}:
            return f"about {formatter.short(number)}"
        case {"$equals": inner}:
            return formatter.short(inner)
        case {"$any": _}:
            return "any value"
    return formatter.short(value)
