"""Represent values in one short line, for `repr`. Pure."""

from __future__ import annotations

import reprlib

_LENGTH = 80
"""Maximum characters of a text."""

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = _LENGTH


def short_repr(value: object) -> str:
    """Return the `repr` of a value, with long texts and large containers shortened."""
    text = _REPR.repr(value)
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]}…"
