"""Define kinds of option values, which parse the text of flags and variables, and validate values of files and Python.

All kinds raise `ValueError` with the reason, such as `must be true or false, not 1`. Only the reasons for numbers,
switches and choices repeat the value, since a text may be a secret. Pure, except that `Variables` reads the
environment.
"""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, Protocol

from mcprun.errors import REDACTED, UsageError
from mcprun.written_numbers import written_number, written_seconds

MAX_COUNT = 1_000_000_000
"""The upper bound of counts that do not define a lower one."""

_TRUE, _FALSE = frozenset({"1", "true", "t", "yes", "y", "on"}), frozenset({"0", "false", "f", "no", "n", "off"})
"""The values of a variable for a switch, as in click."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110, section 5.6.2)."""

_SCHEMES = frozenset({"basic", "bearer", "digest", "token"})
"""Authentication schemes. As a header's whole value, one is the first word of a value that was not quoted."""

_TYPES = {
    bool: "a boolean", int: "a whole number", float: "a number", str: "a string", bytes: "bytes", list: "a list",
    tuple: "a tuple", dict: "a table", type(None): "None",
}  # fmt: skip


class Kind(Protocol):
    """The kind of an option's values."""

    def read(self, text: str) -> Any:
        """Parse the text of a flag or a variable."""

    def check(self, value: object) -> Any:
        """Validate a value of a file or of Python, and return it in the form that the run uses. Nothing is coerced."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `minimum` to `maximum`. Booleans are rejected."""

    minimum: int = 1
    maximum: int = MAX_COUNT

    def read(self, text: str) -> int:
        """Parse a number, and check it."""
        return self.check(_number(text))

    def check(self, value: object) -> int:
        """Return the number if it has the right type and is within bounds."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be a whole number{self._bounds(value)}, not {_shown(value)}{self._meant(value)}")
        return value

    def _bounds(self, value: object) -> str:
        """Return the bounds for a message. A maximum that is only a safeguard is named if `value` exceeds it."""
        is_above = isinstance(value, int) and value > self.maximum
        if self.maximum == MAX_COUNT and not is_above:
            return f", at least {self.minimum:,}"
        return f" from {self.minimum:,} to {self.maximum:,}"

    def _meant(self, value: object) -> str:
        """Return a question with the number that a text or a float means, or an empty string."""
        number = written_number(value) if isinstance(value, str) else value if isinstance(value, float) else None
        if number is None or not number.is_integer() or not self.minimum <= number <= self.maximum:
            return ""
        return f"; did you mean {number:.0f}?"


@dataclass(frozen=True, slots=True)
class Amount:
    """A number above 0 and at most `maximum`; `unit` names what it counts. NaN, infinity and booleans are rejected."""

    maximum: float
    unit: str = ""

    def read(self, text: str) -> float:
        """Parse a number, and check it."""
        return self.check(_number(text))

    def check(self, value: object) -> float:
        """Return the number as a float if it has the right type and is within bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= self.maximum:
            what = f"a number of {self.unit}" if self.unit else "a number"
            bounds = f"above 0 and at most {self.maximum:,.10g}"
            raise ValueError(f"must be {what} {bounds}, not {_shown(value)}{self._meant(value)}")
        return float(value)

    def _meant(self, value: object) -> str:
        """Return a question with the number that a text means, or a percentage where a share is expected."""
        number: float | None = None
        if isinstance(value, str):
            number = written_seconds(value) if self.unit == "seconds" else written_number(value)
        elif isinstance(value, int) and not isinstance(value, bool) and self.maximum == 1 and value <= 100:
            number = value / 100
        return f"; did you mean {number:.10g}?" if number is not None and 0 < number <= self.maximum else ""


@dataclass(frozen=True, slots=True)
class Share:
    """A share from 0 to 1, both included. NaN and booleans are rejected."""

    def read(self, text: str) -> float:
        """Parse a number, and check it."""
        return self.check(_number(text))

    def check(self, value: object) -> float:
        """Return the number as a float if it has the right type and is within bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"must be a share from 0 to 1, not {_shown(value)}{self._meant(value)}")
        return float(value)

    def _meant(self, value: object) -> str:
        """Return a question with the share that a percentage means, or an empty string."""
        number = written_number(value.strip().removesuffix("%")) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int | float) or not 2 <= number <= 100:
            return ""
        return f"; did you mean {number / 100:.10g}?"


@dataclass(frozen=True, slots=True)
class Switch:
    """A boolean."""

    def read(self, text: str) -> bool:
        """Parse a boolean, such as `1`, `yes` or `off`."""
        word = text.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else self.check(text)

    def check(self, value: object) -> bool:
        """Return the value if it is a boolean. Numbers and text are rejected."""
        if not isinstance(value, bool):
            raise ValueError(f"must be true or false, not {_shown(value)}")
        return value


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a fixed set of names."""

    names: tuple[str, ...]

    def read(self, text: str) -> str:
        """Return the text if it is one of the names."""
        return self.check(text)

    def check(self, value: object) -> str:
        """Return the value if it is one of the names. Case-sensitive."""
        if not isinstance(value, str) or value not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}, not {_shown(value)}")
        return value


Referent = Literal["file", "run", "command", "server", "model"]
"""What a text names: a file or folder, a run, a program, SERVER (may be a file), a model (may be `replay:RUN`)."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string. `refers_to` is set if it may name a file, which Python may pass as a path object."""

    refers_to: Referent | None = None
    may_be_empty: bool = False

    def read(self, text: str) -> str:
        """Return the text if it is valid."""
        return self.check(text)

    def check(self, value: object) -> str:
        """Return the string, or the path of a path object."""
        text = os.fspath(value) if self.refers_to and isinstance(value, os.PathLike) else value
        if not isinstance(text, str):
            raise ValueError(f"must be a string, not {type_name(value)}")
        if not text and not self.may_be_empty:
            raise ValueError("must not be empty")
        if "\0" in text and not self.may_be_empty:
            raise ValueError("must not contain a null character")
        return text


@dataclass(frozen=True, slots=True)
class Pattern:
    """An `fnmatch` pattern: `*`, `?` and `[…]` stand for characters."""

    def read(self, text: str) -> str:
        """Return the pattern if it is valid."""
        return self.check(text)

    def check(self, value: object) -> str:
        """Return the pattern if it is a string, is not empty, and closes each `[`."""
        text = Text().check(value)
        if not _closes_brackets(text):
            raise ValueError("must close each [ with a ]; [[] stands for the character [")
        return text


@dataclass(frozen=True, slots=True)
class Thinking:
    """`adaptive`, `disabled`, or a number of tokens, which a file or Python may pass as a number."""

    minimum: int
    maximum: int = MAX_COUNT

    def read(self, text: str) -> str:
        """Return the word or the number as text if it is valid."""
        return self.check(text)

    def check(self, value: object) -> str:
        """Return the word or the number as text if it is valid."""
        if value in ("adaptive", "disabled"):
            return str(value)
        # int() also accepts 1_024 and digits of other scripts; the API is sent plain ones.
        tokens = _number(value) if isinstance(value, str) else value
        try:
            return str(Whole(self.minimum, self.maximum).check(tokens))
        except ValueError:
            bounds = f"from {self.minimum:,} to {self.maximum:,}"
            message = f"must be adaptive, disabled, or a number of tokens {bounds}, not {_shown(tokens)}"
            raise ValueError(message) from None


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of values of one kind; each flag adds one item. A lone string is not a list, except in a file."""

    item: Kind = Text()

    def read(self, text: str) -> Any:
        """Parse the item that one flag adds."""
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
        """Parse NAME=VALUE, or the NAME of a variable of this environment, into a name and a value."""
        name, mark, value = text.partition("=")
        name = name.strip()
        if not mark and name not in os.environ:
            raise ValueError("expected NAME=VALUE, or the NAME of a variable that is set in this environment")
        return self._pair(name, value if mark else os.environ[name])

    def check(self, value: object) -> dict[str, str]:
        """Validate a mapping of variables, and return it as a dict."""
        return dict(self._pair(name, item) for name, item in _items(value))

    @staticmethod
    def _pair(name: object, value: object) -> tuple[str, str]:
        if not isinstance(name, str) or not name.strip() or "=" in name or "\0" in name:
            raise ValueError("expected NAME=VALUE, with a NAME that is not empty and has no = or null character")
        found = _unredacted(name, value)
        if "\0" in found:
            raise ValueError(f"must not contain a null character, as the value of {name} does")
        return name.strip(), found


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers by name."""

    def read(self, text: str) -> tuple[str, str]:
        """Parse `NAME: VALUE` into a name and a value."""
        name, _mark, value = text.partition(":")
        return self._pair(name, value)

    def check(self, value: object) -> dict[str, str]:
        """Validate a mapping of headers, and return it as a dict."""
        return dict(self._pair(name, item) for name, item in _items(value))

    @staticmethod
    def _pair(name: object, value: object) -> tuple[str, str]:
        token = name.strip() if isinstance(name, str) else ""
        if not _HEADER_NAME.fullmatch(token):
            raise ValueError("expected 'NAME: VALUE', in quotes")
        found = _unredacted(token, value).strip()
        if not found or found.lower() in _SCHEMES:
            raise ValueError("expected 'NAME: VALUE', in quotes")
        if not found.isprintable():
            raise ValueError("the VALUE of a header must be on one line, without control characters")
        return token, found


def option_message(name: str, problem: object) -> str:
    """Return a message made of an option's name and the reason why its value is invalid."""
    words = str(problem)
    return f"{name} {words}" if words.startswith(("must", "item")) else f"{name}: {words}"


def validate_option(name: str, kind: Kind, value: object) -> Any:
    """Validate a value with `Kind.check`. Raises `UsageError`, which names the option."""
    try:
        return kind.check(value)
    except ValueError as error:
        raise UsageError(option_message(name, error)) from None


def check_fields(owner: Any, kinds: Mapping[str, Kind], prefix: str = "") -> None:
    """Validate the fields of a frozen dataclass in place, and replace each value by the one that its kind returns.

    A field whose default is None may be None. Raises `UsageError` with the prefix and the name of the field.
    """
    for field in fields(owner):
        value = getattr(owner, field.name)
        if field.name in kinds and not (value is None and field.default is None):
            object.__setattr__(owner, field.name, validate_option(f"{prefix}{field.name}", kinds[field.name], value))


def type_name(value: object) -> str:
    """Return the type of a value as messages name it, such as `a whole number`."""
    return _TYPES.get(type(value)) or f"an object of type {type(value).__name__}"


def _closes_brackets(pattern: str) -> bool:
    """Return whether each `[` has its `]`. The first character of a set, after a `!`, may be a `]` itself."""
    at = 0
    while (at := pattern.find("[", at)) >= 0:
        first = at + 1 + pattern.startswith("!", at + 1)
        at = pattern.find("]", first + pattern.startswith("]", first)) + 1
        if not at:
            return False
    return True


def _number(text: str) -> object:
    """Parse a number. Return the text itself if it is not a number."""
    try:
        return int(text)
    except ValueError:  # also for an integer of more than 4,300 digits
        try:
            return float(text)
        except ValueError:
            return text


def _shown(value: object) -> str:
    """Format a number, a boolean or a text for a message. Return the type of any other value."""
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else f"{value[:79]}…")
    if isinstance(value, int) and abs(value) > 10**18:  # repr() raises for more than 4,300 digits
        return "a much larger one" if value > 0 else "a much smaller one"
    return repr(value) if isinstance(value, bool | int | float) else type_name(value)


def _each(item: Kind, values: Iterable[object]) -> Any:
    for place, value in enumerate(values, start=1):
        try:
            yield item.check(value)
        except ValueError as error:
            raise ValueError(option_message(f"item {place}", error)) from None


def _items(value: object) -> Any:
    """Return the items of a mapping. Raises `ValueError` for any other type."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table of strings, not {type_name(value)}")
    return value.items()


def _unredacted(name: str, value: object) -> str:
    """Return the value if it is a string, and not the redacted value of an earlier run."""
    if not isinstance(value, str):
        raise ValueError(f"must have strings as values, but {name} is {type_name(value)}")
    if REDACTED in value:
        raise ValueError(f"the value of {name} is a secret and was not recorded: pass it again")
    return value


def changed_fields(value: Any, secrets: frozenset[str] = frozenset()) -> str:
    """Return the call that creates a dataclass, with the fields only that are not the default: `Limits(max_turns=5)`.

    The values of the fields named by `secrets` are replaced by `***`.
    """
    parts = []
    for field in fields(value):
        item = getattr(value, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if item != default:
            parts.append(f"{field.name}={'***' if field.name in secrets else reprlib.repr(item)}")
    return f"{type(value).__name__}({', '.join(parts)})"
