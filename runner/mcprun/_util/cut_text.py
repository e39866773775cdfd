"""Decode a part of a text file that may begin or end within a line or a character. Pure."""

from __future__ import annotations

_CONTINUATION = bytes(range(0x80, 0xC0))
"""Bytes that continue a character in UTF-8 (RFC 3629, section 3)."""

_MAX_CHARACTER = 4
"""Maximum number of bytes of a character in UTF-8."""


def decode_part(data: bytes, *, is_begun: bool, is_ended: bool) -> str:
    """Decode bytes from the middle of a UTF-8 text.

    `is_begun` is whether they begin within the text, and `is_ended` whether it goes on after them. A line that is cut
    is left out, unless it is the only one: then only the character that is cut is left out.
    """
    if is_begun:
        _, newline, rest = data.partition(b"\n")
        data = rest if newline and rest else data.lstrip(_CONTINUATION)
    if is_ended:
        rest, newline, _ = data.rpartition(b"\n")
        data = rest + newline if newline else _whole_characters(data)
    return data.decode("utf-8", "replace")


def _whole_characters(data: bytes) -> bytes:
    """Leave out a character at the end of which bytes are missing."""
    for size in range(1, min(_MAX_CHARACTER, len(data)) + 1):
        first = data[-size]
        if first in _CONTINUATION:
            continue
        length = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
        return data if length <= size else data[:-size]
    return data
