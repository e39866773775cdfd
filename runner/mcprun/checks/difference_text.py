"""Describe the differences between a value and an expected one in a message of bounded length. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcprun._util.code_points import reveal
from mcprun.checks.differences import Difference
from mcprun.checks.matchers import is_matcher
from mcprun.tools.format import ValueFormatter, first_few

_MAX_ALTERNATIVES = 5
"""Maximum number of alternatives of `$oneof` in a message."""


def describe(found: Iterable[Difference], root: str, formatter: ValueFormatter) -> str:
    """Describe the first few differences and count the others. `root` names the compared value, such as `result`.

    `result.status: expected "good", got "bad"; result.n: missing, expected 5; and 3 more differences`
    """
    return first_few(found, lambda difference: _describe(difference, root, formatter))


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
        line, one, other = formatter.differing_texts(expected, got)
        return f"{at}{line}: expected {one}, got {other}"
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
            return f"text matching {formatter.pattern(pattern)}"
        case {"$oneof": [*values]}:
            more = ["…"] if len(values) > _MAX_ALTERNATIVES else []
            return f"one of {', '.join([*map(formatter.short, values[:_MAX_ALTERNATIVES]), *more])}"
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
