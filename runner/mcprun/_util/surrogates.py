"""Replace lone surrogates, which JSON can escape (`"\\ud800"`) but UTF-8 and the Messages API can't represent.

Everything that mcprun reads from a server, an API or a file passes through one of these functions, and so does
everything that it sends or writes. U+FFFD REPLACEMENT CHARACTER replaces each lone surrogate (RFC 8259, section 8.2;
WHATWG Infra, "scalar value string").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic_core import to_json

T = TypeVar("T")

REPLACEMENT = "\ufffd"

WARNING = "a lone surrogate, which UTF-8 cannot encode, was replaced with U+FFFD"

_HALF = re.compile("[\ud800-\udfff]")

_ESCAPES = re.compile(
    rb"(?<!\\)(?P<even>(?:\\\\)*)"
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
"""An escaped surrogate pair or an escaped lone surrogate, after an even number of backslashes."""


def well_formed(text: str) -> str:
    """Replace each lone surrogate in a text by U+FFFD. Return the same object if there are no surrogates.

    A high surrogate followed by a low one becomes the character that the pair encodes.
    """
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_well_formed(value: Any) -> bool:
    """Return whether no string of a JSON value, keys included, contains a surrogate."""
    try:
        to_json(value, inf_nan_mode="constants")
    except ValueError:
        return _is_well_formed(value)
    return True


def well_formed_json(value: T) -> T:
    """Return a JSON value with all of its strings well-formed; the same object if they already are."""
    return value if is_well_formed(value) else _replaced(value)


def well_formed_bytes(data: bytes) -> bytes:
    """Replace each escaped lone surrogate in JSON text by an escaped U+FFFD."""
    if b"\\ud" not in data and b"\\uD" not in data:
        return data
    return _ESCAPES.sub(lambda match: match["even"] + rb"\ufffd" if match["half"] else match[0], data)


def surrogate_paths(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of all strings and keys with surrogates in a JSON value."""
    if isinstance(value, str):
        if _HALF.search(value):
            yield ()
    elif isinstance(value, dict):
        for key, item in value.items():
            if _HALF.search(key):
                yield (key,)
            yield from ((key, *place) for place in surrogate_paths(item))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from ((number, *place) for place in surrogate_paths(item))


def _is_well_formed(value: Any) -> bool:
    if isinstance(value, str):
        return not _HALF.search(value)
    if isinstance(value, dict):
        return all(_is_well_formed(key) and _is_well_formed(item) for key, item in value.items())
    return not isinstance(value, list | tuple) or all(map(_is_well_formed, value))


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_replaced(key): _replaced(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item) for item in value]
    return value
