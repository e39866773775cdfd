"""Integers with more digits than Python converts (4,300, CVE-2020-10735): read, carried, and written as their digits.

JSON bounds no number (RFC 8259, section 6). A server's result must not be lost for one of them.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from decimal import Decimal
from typing import Any

WARNING = "an integer with more digits than Python converts (4,300) was replaced by its digits as text"

_KEY = "mcprun/parsed"

_MIN_BITS = 13_000
"""Bits that an integer of more than 4,300 decimal digits has at least, and a little less."""

_MAX_BITS = 500_000
"""Bits up to which digits are decimal (0.5 s); the time grows with the square."""


_STRIDE = 2000
_TWO_DIGITS = re.compile(rb"\d\d")
_MANY_DIGITS = re.compile(rb"\d{4300}")


class LongInteger(float):
    """An integer with too many digits for `int`: an infinite number to whatever calculates with it."""

    digits: str

    def __new__(cls, digits: str) -> LongInteger:
        """Make it of its decimal digits."""
        self = super().__new__(cls, "-inf" if digits.startswith("-") else "inf")
        self.digits = digits
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LongInteger) and self.digits == other.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    def __reduce__(self) -> tuple[type[LongInteger], tuple[str]]:
        return LongInteger, (self.digits,)

    def near(self) -> int:
        """Return the integer of its first digits, which has as many as Python converts."""
        return int(self.digits[: _most_digits()])


def integer(digits: str) -> int | LongInteger:
    """Convert the digits of an integer, as the `parse_int` of `json.loads`."""
    try:
        return int(digits)
    except ValueError:
        return LongInteger(digits)


def digits_of(value: int) -> str | None:
    """Return the digits of an `int` that Python does not convert to text, hexadecimal for a huge one; else None."""
    if value.bit_length() < _MIN_BITS:
        return None
    if value.bit_length() > _MAX_BITS:
        return f"{value:#x}"
    digits = str(Decimal(value))
    return digits if len(digits.lstrip("-")) > _most_digits() else None


def may_hold(data: bytes) -> bool:
    """Return whether JSON text may hold an integer with so many digits. Looks at every 2,000th byte."""
    return len(data) > _STRIDE and bool(_TWO_DIGITS.search(data[::_STRIDE])) and bool(_MANY_DIGITS.search(data))


def holds_long_integer(value: Any) -> bool:
    """Return whether a JSON value holds a `LongInteger`, or an `int` with so many digits. Without recursion."""
    todo = [value]
    while todo:
        match todo.pop():
            case dict() as one:
                todo += one.values()
            case list() as one:
                todo += one
            case LongInteger():
                return True
            case int() as one if digits_of(one):
                return True
    return False


def approximated(value: Any) -> Any:
    """Return a JSON value with each `LongInteger` as an `int`, which a schema can judge: see `LongInteger.near`."""
    if isinstance(value, LongInteger):
        return value.near()
    if isinstance(value, dict):
        return {key: approximated(item) for key, item in value.items()}
    return [approximated(item) for item in value] if isinstance(value, list) else value


def as_text(value: Any) -> Any:
    """Return a JSON value with the digits of each `LongInteger` as text."""
    if isinstance(value, LongInteger):
        return value.digits
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return [as_text(item) for item in value] if isinstance(value, list) else value


def loads(data: str | bytes) -> Any:
    """Parse JSON as `json.loads` does, with each integer that it refuses as a `LongInteger`.

    Raises `ValueError` for what is not JSON, `RecursionError` for what is nested too deeply.
    """
    try:
        return json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # of int()
        return json.loads(data, parse_int=integer)


class Carrier:
    """Carries parsed results past the JSON parser of an SDK, which refuses such integers.

    The message for the SDK holds a token in place of the result, by which the reader takes it back. A server can't
    guess it.
    """

    def __init__(self) -> None:
        self._parsed: dict[str, Any] = {}

    def put(self, result: Any) -> dict[str, str]:
        """Return what stands for a result in a message."""
        token = secrets.token_hex(16)
        self._parsed[token] = result
        return {_KEY: token}

    def take(self, result: Any) -> Any:
        """Return the result that was put, or the very one that is given."""
        token = result.get(_KEY) if isinstance(result, dict) else None
        return self._parsed.pop(token, result) if isinstance(token, str) else result


carrier = Carrier()
"""The carrier of this process."""


def _most_digits() -> int:
    return sys.get_int_max_str_digits() or sys.maxsize
