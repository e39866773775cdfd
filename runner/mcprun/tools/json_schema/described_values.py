"""Find values in descriptions of arguments: examples, listed values and defaults. Pure.

Candidates only: `tools/json_schema/generate.py` validates each against the schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_MAX_CHARS = 5000
"""Maximum characters of a description to read."""

_INTRO = r"(?:\be\.\s?g\.?,?|\beg[:,]|\bfor example,?|\bfor instance,?|\bexamples?(?: values?)?\s?:|\bsuch as|\blike\b)"
_LISTED = (
    r"\b(?:one of|options?(?: are)?|allowed values?(?: are)?|(?:valid|possible|supported|accepted)(?: \w+)?(?: are)?"
    r"|can be|either|must be(?: one of| either)?|values?)\s*:?\s*\[?\(?"
)
_DEFAULT = r"\b(?:defaults? to|default(?: is| value)?\s*[:=]?)"
_QUOTED = r"""(?:(?<![\w])["'`\u201c\u2018]([^"'`\u201d\u2019\n]{1,200})["'`\u201d\u2019](?!\w))"""
_PLAIN = r"([\w+#@%~./:\\-]{1,80})"

_EXAMPLE = re.compile(rf"{_INTRO}\s*:?\s*\(?(?:{_QUOTED}|{_PLAIN})", re.IGNORECASE)
_CHOICE = re.compile(rf"{_LISTED}\s*(?:{_QUOTED}|([\w-]{{1,40}})(?=\s*(?:,|\||/|or\b)))", re.IGNORECASE)
_CHOICES = re.compile(rf"{_QUOTED}\s*(?:,|\||/|or|:)\s*(?:or\s+)?{_QUOTED}", re.IGNORECASE)
_DEFAULTED = re.compile(rf"{_DEFAULT}\s*(?:{_QUOTED}|{_PLAIN})", re.IGNORECASE)
_IN_PARENTHESES = re.compile(rf"\w\s\({_QUOTED}\)")
_PATTERNS = (_CHOICE, _EXAMPLE, _CHOICES, _IN_PARENTHESES, _DEFAULTED)

_ALLOWED = re.compile(
    r"(?:\b(?:must be|should be|expected|expecting|needs? to be|choose from|use|has to be|input should be)(?: either)?"
    r"(?: one of| any of|(?=\s*['\"`\[]))|\b(?:supported|allowed|valid|available|possible|accepted|known|permitted)"
    r"(?: [\w-]+){0,3}?(?: are| is)?\s*:|\bone of)\s*:?\s*([^\n.;]{1,500})",
    re.IGNORECASE,
)
"""What precedes the allowed values in an error, and the list of them."""

_RECEIVED = re.compile(r"\b(?:received|got|but|instead|not)\b", re.IGNORECASE)
"""What precedes the value that was not allowed."""

_JSON = re.compile(rf"{_INTRO}\s*:?\s*`{{0,3}}(?=[\[{{])", re.IGNORECASE)

_FILLER = frozenset(
    {
        "a", "all", "an", "any", "empty", "false", "if", "in", "is", "it", "none", "not", "null", "number", "optional",
        "required", "string", "that", "the", "this", "true", "undefined", "value", "values", "when", "which", "you",
        "your",
    }
)  # fmt: skip
"""Words that begin a sentence after `such as`, and are no examples."""

_HARMFUL = re.compile(
    r"\b(?:rm|drop|delete|truncate|kill|pkill|shutdown|reboot|mkfs|sudo|unlink|push|reset|remove|format|insert|update)\b|>",
    re.IGNORECASE,
)
"""What an example may do that must not be done unasked."""


def described_strings(description: str) -> Iterator[str]:
    """Yield the values that a description gives, the likeliest first: a listed value, an example, a default."""
    text = description[:_MAX_CHARS]
    for pattern in _PATTERNS:
        for found in pattern.finditer(text):
            value = next((one for one in found.groups() if one), "").rstrip(".,;:)").strip()
            if value and value.lower() not in _FILLER and not _HARMFUL.search(value):
                yield value


def listed_values(error: str) -> Iterator[str]:
    """Yield the values that an error says are allowed: `Supported units: m, km`, `must be one of ['a', 'b']`.

    Instructions in an error are not followed: a value is one word or a quoted text, and nothing harmful.
    """
    for found in _ALLOWED.finditer(error[:_MAX_CHARS]):
        listed = _RECEIVED.split(found[1])[0]
        quoted = re.findall(_QUOTED, listed)
        for value in quoted or re.split(r"\s*(?:,|\||;|\bor\b|\band\b)\s*", listed):
            text = value.strip(" .[](){}'\"`")
            if re.fullmatch(r"[\w#@%/+:.-]{1,80}" if not quoted else r"[^\n]{1,80}", text) and not (
                (not quoted and text.lower() in _FILLER) or _HARMFUL.search(text)
            ):
                yield text


def described_numbers(description: str) -> Iterator[float]:
    """Yield the numbers that a description gives as examples or as a default."""
    for text in described_strings(description):
        with suppress(ValueError):
            yield float(text)


def described_json(description: str) -> Iterator[Any]:
    """Yield the lists and objects that a description gives as examples."""
    text = description[:_MAX_CHARS]
    for found in _JSON.finditer(text):
        with suppress(ValueError, RecursionError):
            yield json.JSONDecoder().raw_decode(text, found.end())[0]


def argument_description(description: str, name: str) -> str:
    """Return what a tool's description says of an argument: the text after `name:` or `name (str):` on its line."""
    quoted = rf"[`*]{{0,2}}{re.escape(name)}[`*]{{0,2}}"
    line = rf"^[ \t]*(?:[-*][ \t]*)?{quoted}[ \t]*(?:\([^)\n]*\))?[ \t]*[:\u2013-][ \t]*(.+)$"
    found = re.search(line, description[:_MAX_CHARS], re.MULTILINE)
    return found[1] if found else ""
