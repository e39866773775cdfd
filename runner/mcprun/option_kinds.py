"""Kinds of option values. Each reads what a flag or a variable spells, and checks what a file or Python sets. Pure.

All kinds raise `ValueError` with the reason, such as `must be true or false, not 1`. Only reasons of numbers, switches
and choices repeat the value: a text may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

from mcprun.errors import REDACTED, UsageError

MOST = 1_000_000_000
"""The upper bound of counts that have no lower one of their own."""

_TRUE, _FALSE = frozenset({"1", "true", "t", "yes", "y", "on"}), frozenset({"0", "false", "f", "no", "n", "off"})
"""What a variable may hold for a switch, as click has it."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110, section 5.6.2)."""

_SCHEMES = frozenset({"basic", "bearer", "digest", "token"})
"""Authentication schemes: alone behind a header's name, one is the first word of a value that was not quoted."""

_TYPES = {
    bool: "a boolean", int: "a whole number", float: "a number", str: "a string", bytes: "bytes", list: "a list",
    tuple: "a tuple", dict: "a table", type(None): "None",
}  # fmt: skip


class Kind(Protocol):
    """What the values of an option are."""

    def read(self, text: str) -> Any:
        """Return the value that the text of a flag or a variable stands for."""

    def check(self, value: object) -> Any:
        """Return a value of a file or of Python in the form that the run takes. Nothing is coerced."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds; booleans are none."""

    least: int = 1
    most: int = MOST

    def read(self, text: str) -> int:
        """Return the number that a text spells."""
        return self.check(_number(text))

    def check(self, value: object) -> int:
        """Return the number, unless it is out of bounds or of another type."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            bounds = f"from {self.least:,} to {self.most:,}"
            raise ValueError(f"must be a whole number {bounds}, not {_shown(value)}")
        return value


@dataclass(frozen=True, slots=True)
class Amount:
    """A number above 0, up to a bound; `unit` names what it counts. NaN, infinity and booleans are none."""

    most: float
    unit: str = ""

    def read(self, text: str) -> float:
        """Return the number that a text spells."""
        return self.check(_number(text))

    def check(self, value: object) -> float:
        """Return the number as a float, unless it is out of bounds or of another type."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= self.most:
            what = f"a number of {self.unit}" if self.unit else "a number"
            raise ValueError(f"must be {what} above 0 and at most {self.most:,.10g}, not {_shown(value)}")
        return float(value)


@dataclass(frozen=True, slots=True)
class Switch:
    """True or false."""

    def read(self, text: str) -> bool:
        """Return the boolean that a text stands for, such as `1`, `yes`, `off`."""
        word = text.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else self.check(text)

    def check(self, value: object) -> bool:
        """Return a boolean; numbers and texts are none."""
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {_shown(value)}")
        return value


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some names."""

    names: tuple[str, ...]

    def read(self, text: str) -> str:
        """Return the name."""
        return self.check(text)

    def check(self, value: object) -> str:
        """Return the name if it is one of them, written the same way."""
        if not isinstance(value, str) or value not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}, not {_shown(value)}")
        return value


Place = Literal["file", "run", "command", "server", "model"]
"""What a text names: a file or folder; a run; a program; SERVER, which may be a file; `replay:RUN` among others."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string. `place` tells which of them name files, which Python may give as path objects."""

    place: Place | None = None
    may_be_empty: bool = False

    def read(self, text: str) -> str:
        """Return the text."""
        return self.check(text)

    def check(self, value: object) -> str:
        """Return the string, or that of a path object."""
        found = os.fspath(value) if self.place and isinstance(value, os.PathLike) else value
        if not isinstance(found, str):
            raise ValueError(f"must be a string, not {type_name(value)}")
        if not found and not self.may_be_empty:
            raise ValueError("must not be empty")
        if "\0" in found and not self.may_be_empty:
            raise ValueError("must not contain a null character")
        return found


@dataclass(frozen=True, slots=True)
class Thinking:
    """`adaptive`, `disabled`, or a number of tokens, which a file or Python may give as a number."""

    least: int
    most: int = MOST

    def read(self, text: str) -> str:
        """Return the word or the number, as text."""
        return self.check(text)

    def check(self, value: object) -> str:
        """Return the word or the number, as text."""
        if value in ("adaptive", "disabled"):
            return str(value)
        # int() takes 1_024 and digits of other scripts as well; the API gets plain ones.
        tokens = _number(value) if isinstance(value, str) else value
        try:
            return str(Whole(self.least, self.most).check(tokens))
        except ValueError:
            bounds = f"from {self.least:,} to {self.most:,}"
            message = f"must be adaptive, disabled, or a number of tokens {bounds}, not {_shown(tokens)}"
            raise ValueError(message) from None


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of values of one kind; each flag gives one item. A lone string is no list, except in a file."""

    item: Kind = Text()

    def read(self, text: str) -> Any:
        """Return the item that one flag gives."""
        return self.item.read(text)

    def check(self, value: object) -> tuple[Any, ...]:
        """Return the items as a tuple."""
        if isinstance(value, str | bytes | bytearray | memoryview | Mapping) or not isinstance(value, Iterable):
            raise ValueError(f"must be a list of strings, not {type_name(value)}")
        return tuple(_each(self.item, value))


@dataclass(frozen=True, slots=True)
class Variables:
    """Environment variables by name."""

    def read(self, text: str) -> tuple[str, str]:
        """Read NAME=VALUE, or the NAME of a variable of this environment."""
        name, mark, value = text.partition("=")
        name = name.strip()
        if not name or (not mark and name not in os.environ):
            raise ValueError("expected NAME=VALUE, or the NAME of a variable that is set in this environment")
        return self._pair(name, value if mark else os.environ[name])

    def check(self, value: object) -> dict[str, str]:
        """Return the variables of a mapping."""
        return dict(self._pair(name, item) for name, item in _items(value))

    @staticmethod
    def _pair(name: object, value: object) -> tuple[str, str]:
        if not isinstance(name, str) or not name.strip() or "=" in name or "\0" in name:
            raise ValueError("must have names that are not empty, without = and null characters")
        found = _kept(name, value)
        if "\0" in found:
            raise ValueError(f"must not contain a null character, as the value of {name} does")
        return name.strip(), found


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers by name."""

    def read(self, text: str) -> tuple[str, str]:
        """Read NAME: VALUE."""
        name, _mark, value = text.partition(":")
        return self._pair(name, value)

    def check(self, value: object) -> dict[str, str]:
        """Return the headers of a mapping."""
        return dict(self._pair(name, item) for name, item in _items(value))

    @staticmethod
    def _pair(name: object, value: object) -> tuple[str, str]:
        token = name.strip() if isinstance(name, str) else ""
        if not _HEADER_NAME.fullmatch(token):
            raise ValueError("expected 'NAME: VALUE', in quotes")
        found = _kept(token, value).strip()
        if not found or found.lower() in _SCHEMES:
            raise ValueError("expected 'NAME: VALUE', in quotes")
        if not found.isprintable():
            raise ValueError("the VALUE of a header must be on one line, without control characters")
        return token, found


def named(name: str, problem: object) -> str:
    """Return a message of an option's name and the reason why its value is wrong."""
    words = str(problem)
    return f"{name} {words}" if words.startswith(("must", "item")) else f"{name}: {words}"


def checked(name: str, kind: Kind, value: object) -> Any:
    """Return a value as `Kind.check` does. Raises `UsageError` with the name."""
    try:
        return kind.check(value)
    except ValueError as error:
        raise UsageError(named(name, error)) from None


def check_fields(owner: Any, kinds: Mapping[str, Kind], prefix: str = "") -> None:
    """Check the fields of a frozen dataclass, and replace each value by that which its kind returns.

    A field whose default is None may be None. Raises `UsageError`, which names the field behind the prefix.
    """
    for field in fields(owner):
        value = getattr(owner, field.name)
        if field.name in kinds and not (value is None and field.default is None):
            object.__setattr__(owner, field.name, checked(f"{prefix}{field.name}", kinds[field.name], value))


def type_name(value: object) -> str:
    """Name the type of a value."""
    return _TYPES.get(type(value)) or f"an object of type {type(value).__name__}"


def _number(text: str) -> object:
    """Return the number that a text spells; the text itself if it spells none."""
    try:
        return int(text)
    except ValueError:  # so does Python call an integer of more than 4,300 digits
        try:
            return float(text)
        except ValueError:
            return text


def _shown(value: object) -> str:
    """Return a number, a boolean or a text as a message shows it, and of anything else the type."""
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else f"{value[:79]}…")
    if isinstance(value, int) and abs(value) > 10**18:  # Python writes no more than 4,300 digits
        return "one that is much larger" if value > 0 else "one that is much smaller"
    return repr(value) if isinstance(value, bool | int | float) else type_name(value)


def _each(item: Kind, values: Iterable[object]) -> Any:
    for place, value in enumerate(values, start=1):
        try:
            yield item.check(value)
        except ValueError as error:
            raise ValueError(named(f"item {place}", error)) from None


def _items(value: object) -> Any:
    """Return the items of a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table of strings, not {type_name(value)}")
    return value.items()


def _kept(name: str, value: object) -> str:
    """Return a value, unless it is no string, or stands for one of an earlier run, which was not kept."""
    if not isinstance(value, str):
        raise ValueError(f"must have strings as values, and that of {name} is {type_name(value)}")
    if REDACTED in value:
        raise ValueError(f"the value of {name} was not kept, since it is a secret: give it again")
    return value
