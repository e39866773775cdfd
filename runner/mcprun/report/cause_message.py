"""Compare messages without what varies between queries: ids, numbers, times, quoted texts, or all later words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

VARIES = "…"
"""Stands for what varies."""

_VALUE = rf"""
    {VARIES}
  | (?<![\w.])
    (?: \d{{4}}-\d\d-\d\d (?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?    # date and time
      | \d{{1,2}}:\d\d(?::\d\d(?:[.,]\d+)?)?                                               # time of day
      | (?=[^\W_])(?=[\w-]*\d)[^\W_](?:[\w-]*[^\W_])?(?:[.,]\d+)*                          # id or number
    )
"""
_QUOTES = frozenset("\"'`")
_QUOTED = r"""(?<!\w)(?:"(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'(?!\w)|`[^`]*+`)"""

VALUES = re.compile(_VALUE, re.VERBOSE)
"""Ids, numbers and times: words with a digit."""

QUOTED = re.compile(rf"{_QUOTED}|{_VALUE}", re.VERBOSE)
"""Quoted texts and values."""

_CODE = re.compile(r"\b(?:HTTP|status|code|exit|errno|error)[\s:=(-]*\Z", re.IGNORECASE)
"""What precedes a number that names a fault: `status 404`, `exited with code 1`, `error -32602`."""

_CODE_NUMBER = re.compile(r"\d{1,5}")
"""A number that may name a fault; ids have more digits, or letters."""

_LEAD = 20
"""Number of characters before a value that may say that it is such a number."""

_RUN = re.compile(rf"{VARIES}(?:[\s,;]*{VARIES})+")


@dataclass(frozen=True, slots=True)
class Template:
    """A message, split into what is the same in all messages that it stands for, `fixed`, and what may vary.

    `fixed` has one part more than `varying`. A value that does vary is `…`.
    """

    fixed: tuple[str, ...]
    varying: tuple[str, ...]

    @classmethod
    def of(cls, text: str, pattern: re.Pattern[str] = VALUES) -> Self:
        """Split a message at the values that `pattern` finds, except numbers that name a fault."""
        fixed, varying, start = list[str](), list[str](), 0
        for found in pattern.finditer(text):
            lead = text[max(0, found.start() - _LEAD) : found.start()]
            if not (_CODE_NUMBER.fullmatch(found[0]) and _CODE.search(lead)):
                fixed.append(text[start : found.start()])
                varying.append(found[0])
                start = found.end()
        return cls((*fixed, text[start:]), tuple(varying))

    def merged(self, other: Self) -> Self:
        """Return the template for the messages of two templates with the same `fixed`."""
        pairs = zip(self.varying, other.varying, strict=True)
        return type(self)(self.fixed, tuple(one if one == two else _shared(one, two) for one, two in pairs))

    def __str__(self) -> str:
        """Return the message, with `…` for what varies."""
        return _RUN.sub(VARIES, "".join(self._parts()))

    def _parts(self) -> Iterator[str]:
        for fixed, varying in zip(self.fixed, (*self.varying, ""), strict=True):
            yield fixed
            yield varying


def _shared(one: str, other: str) -> str:
    """Return the words that two quoted texts begin with, and `…` for the others; `…` for different values."""
    quote = one[:1]
    if quote not in _QUOTES or quote != other[:1]:
        return VARIES
    shared = shared_opening(one[1:-1], other[1:-1])
    return VARIES if shared == VARIES else f"{quote}{shared}{quote}"


def mentions(text: str, name: str) -> bool:
    """Return whether a text contains a name as a whole word: `get_order` does not mention `get`."""
    return bool(name and _word(name).search(text))


def without(text: str, name: str) -> str:
    """Return a text with a name replaced by `…`, wherever it is a whole word."""
    return _word(name).sub(VARIES, text) if name else text


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w/-])(?<!\w\.){re.escape(name)}(?!\.?[\w/-])")


def opening(text: str, words: int) -> str:
    """Return the first words of a message, with quoted texts and values replaced by `…`."""
    return " ".join(VARIES.join(Template.of(text, QUOTED).fixed).split()[:words])


def shared_opening(one: str, other: str) -> str:
    """Return the words that two messages begin with, and `…` if one of them has more."""
    words, other_words = one.split(), other.split()
    shared = 0
    while shared < min(len(words), len(other_words)) and words[shared] == other_words[shared]:
        shared += 1
    is_whole = shared == len(words) == len(other_words)
    return " ".join([*words[:shared], *([] if is_whole or words[shared - 1 : shared] == [VARIES] else [VARIES])])
