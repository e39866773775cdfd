"""Compare JSON values by meaning: numbers by value, objects regardless of the order of their keys.

1 equals 1.0, and neither equals `true` (RFC 8259 has one type of number, and separate literals). NaN, which Python's
`json` reads and writes, equals itself: otherwise a recording that contains it would differ from itself.
"""

from __future__ import annotations

import json
from typing import Any

JsonObject = dict[str, Any]


def json_equal(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal, at any depth."""
    todo = [(one, other)]  # not recursive: a server's value may be deeper than Python's stack
    while todo:
        one, other = todo.pop()
        if isinstance(one, bool) or isinstance(other, bool):
            if one is not other:
                return False
        elif isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            todo += [(value, other[key]) for key, value in one.items()]
        elif isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            todo += zip(one, other, strict=True)
        elif one != other and not (_is_nan(one) and _is_nan(other)):
            return False
    return True


def json_same(one: Any, other: Any) -> bool:
    """Return the result of `json_equal`, faster if the values are equal and not deeper than Python's stack."""
    # Values that are equal in Python nearly always have the same repr, which takes a tenth of the time to compare.
    return bool(one == other and repr(one) == repr(other)) or json_equal(one, other)


def json_type(value: Any) -> str:
    """Return the JSON type of a value: `null`, `true`, `false`, `a number`, `text`, `a list` or `an object`."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "an object"


def describe_kind(value: Any) -> str:
    """Describe a JSON value for a message by its type, with numbers and short strings in full."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value!r:.20}"
        case str():
            return f"the string {value!r}" if len(value) <= 40 else "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
    return type(value).__name__


def plain(value: Any) -> Any:
    """Return a copy of a value with whole floats as integers (1.0 as 1), so that equal numbers have one type."""
    copy = [value]
    todo: list[tuple[Any, Any]] = [(copy, 0)]
    while todo:
        parent, key = todo.pop()
        item = parent[key]
        if isinstance(item, float) and item.is_integer():
            parent[key] = int(item)
        elif isinstance(item, dict):
            parent[key] = inner = dict(item)
            todo += [(inner, name) for name in inner]
        elif isinstance(item, list):
            parent[key] = items = list(item)
            todo += [(items, at) for at in range(len(items))]
    return copy[0]


def key_of(value: Any) -> str:
    """Serialise a value to text that is the same for two values if and only if they are equal."""
    return json.dumps(plain(value), sort_keys=True)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value
