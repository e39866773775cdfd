"""Parse, carry and write integers with more digits than Python converts (4,300, CVE-2020-10735).

JSON does not bound numbers (RFC 8259, section 6), and a server's result must not be lost because of one.
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
"""A lower bound on the bits of an integer with more than 4,300 decimal digits."""

_MAX_BITS = 500_000
"""The most bits of an integer that is written in decimal, which takes 0.5 s; the time grows quadratically."""


_STRIDE = 2000
_TWO_DIGITS = re.compile(rb"\d\d")
_MANY_DIGITS = re.compile(rb"\d{4300}")


class LongInteger(float):
    """An integer with too many digits for `int`. In arithmetic it is an infinite number."""

    digits: str

    def __new__(cls, digits: str) -> LongInteger:
        """Create the integer from its decimal digits."""
        self = super().__new__(cls, "-inf" if digits.startswith("-") else "inf")
        self.digits = digits
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LongInteger) and self.digits == other.digits

    def __hash__(self) -> int:
        return hash(self.digits)

    def __reduce__(self) -> tuple[type[LongInteger], tuple[str]]:
        return LongInteger, (self.digits,)

    def approximate(self) -> int:
        """Return the integer that its first digits spell, as many as Python converts."""
        return int(self.digits[: _max_digits()])


def integer(digits: str) -> int | LongInteger:
    """Convert the digits of an integer, as `parse_int` of `json.loads`."""
    try:
        return int(digits)
    except ValueError:
        return LongInteger(digits)


def digits_of(value: int) -> str | None:
    """Return the digits of an `int` that Python does not convert to text (hexadecimal if it is huge), else None."""
    if value.bit_length() < _MIN_BITS:
        return None
    if value.bit_length() > _MAX_BITS:
        return f"{value:#x}"
    digits = str(Decimal(value))
    return digits if len(digits.lstrip("-")) > _max_digits() else None


def may_hold(data: bytes) -> bool:
    """Return whether JSON text may contain an integer with too many digits. Samples every 2,000th byte first."""
    return len(data) > _STRIDE and bool(_TWO_DIGITS.search(data[::_STRIDE])) and bool(_MANY_DIGITS.search(data))


def holds_long_integer(value: Any) -> bool:
    """Return whether a JSON value contains a `LongInteger`, or an `int` with as many digits. Not recursive."""
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


def approximate(value: Any) -> Any:
    """Replace each `LongInteger` in a JSON value by an `int` (`approximate`), which a schema can validate."""
    if isinstance(value, LongInteger):
        return value.approximate()
    if isinstance(value, dict):
        return {key: approximate(item) for key, item in value.items()}
    return [approximate(item) for item in value] if isinstance(value, list) else value


def as_text(value: Any) -> Any:
    """Replace each `LongInteger` in a JSON value by its digits as text."""
    if isinstance(value, LongInteger):
        return value.digits
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    return [as_text(item) for item in value] if isinstance(value, list) else value


def loads(data: str | bytes) -> Any:
    """Parse JSON as `json.loads` does, but return a `LongInteger` for each integer that it rejects.

    Raises `ValueError` for invalid JSON, `RecursionError` for JSON that is nested too deeply.
    """
    try:
        return json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # raised by int()
        return json.loads(data, parse_int=integer)


class Carrier:
    """Carry parsed results past the JSON parser of an SDK, which rejects such integers.

    The message for the SDK holds a random token in place of the result. `take` exchanges the token for the result. A
    server can't guess it.
    """

    def __init__(self) -> None:
        self._parsed: dict[str, Any] = {}

    def put(self, result: Any) -> dict[str, str]:
        """Store a result, and return its placeholder for a message."""
        token = secrets.token_hex(16)
        self._parsed[token] = result
        return {_KEY: token}

    def take(self, result: Any) -> Any:
        """Remove and return the result that a placeholder stands for. Return any other value unchanged."""
        token = result.get(_KEY) if isinstance(result, dict) else None
        return self._parsed.pop(token, result) if isinstance(token, str) else result


carrier = Carrier()
"""The carrier that this process shares."""


def _max_digits() -> int:
    return sys.get_int_max_str_digits() or sys.maxsize
