"""Parse JSON with comments and trailing commas, the format of editors' settings. Pure.

Accepts what VS Code's parser accepts: `//` and `/* */` comments, one comma before a closing bracket, a byte order mark.
Everything else is RFC 8259, without NaN and Infinity, and without duplicate names in an object (section 4).
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_LEXEME = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|/\*|[^\s"/]|["/]', re.DOTALL)
"""A string, a comment, the start of an unclosed comment, or a single character other than white space."""

_OPENING = ("", "[", "{", ",", ":")
"""Lexemes that a trailing comma never follows."""


class JsoncError(ValueError):
    """The text is not valid JSONC. `line` and `column` count from 1; both are None if the place is unknown."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        self.line = line
        self.column = column
        super().__init__(message)


class _Object(dict[str, Any]):
    """A parsed object; `repeated` is a name that occurs more than once in it."""

    repeated: str | None = None


def parse(data: bytes) -> Any:
    """Parse JSONC in UTF-8, UTF-16 or UTF-32. Raises `JsoncError`."""
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError:
        raise JsoncError("the file is neither UTF-8 nor UTF-16") from None
    try:
        value = json.loads(_plain(text), parse_constant=_refuse_constant, object_pairs_hook=_object)
        _check_names(value, ())
    except json.JSONDecodeError as error:
        raise JsoncError(_sentence(error.msg), error.lineno, error.colno) from None
    except JsoncError:
        raise
    except (ValueError, RecursionError):  # a number of more than 4,300 digits; a thousand nested brackets
        raise JsoncError("a number is too long, or values are nested too deeply") from None
    return value


def _plain(text: str) -> str:
    """Replace comments and trailing commas by spaces, which preserves lines and columns."""
    characters = list(text)
    last, comma = "", -1
    for match in _LEXEME.finditer(text):
        lexeme, start = match[0], match.start()
        if lexeme == "/*":
            raise JsoncError(
                "a comment is not closed", text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
            )
        if lexeme.startswith(("//", "/*")):
            characters[start : match.end()] = re.sub(r"[^\n]", " ", lexeme)
            continue
        if lexeme in ("]", "}") and comma >= 0:
            characters[comma] = " "
        comma = start if lexeme == "," and last not in _OPENING else -1
        last = lexeme
    return "".join(characters)


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    parsed = _Object(pairs)
    if len(parsed) < len(pairs):
        names = [name for name, _ in pairs]
        parsed.repeated = next(name for name in names if names.count(name) > 1)
    return parsed


def _check_names(value: Any, path: tuple[str, ...]) -> None:
    """Raise `JsoncError` with the path of the first name that occurs twice in one object."""
    if isinstance(value, _Object):
        if value.repeated is not None:
            raise JsoncError(f"{'.'.join((*path, value.repeated))} occurs twice in the same object")
        for name, item in value.items():
            _check_names(item, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_names(item, (*path, str(number)))


def _refuse_constant(name: str) -> NoReturn:
    raise JsoncError(f"{name} is not JSON")


def _sentence(message: str) -> str:
    """Lower-case the first letter of a message of the standard library, which follows a colon here."""
    return message[:1].lower() + message[1:]
