"""Plain values to begin with: text and numbers that look like what an argument's name says, and do no harm. Pure.

What a JSON Schema says of them is tried, not proven: `tools/json_schema/generate.py` holds every value against the
whole schema.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

from rstr import Rstr

from mcprun._util.json_value import JsonObject

LONGEST = 2000
"""Characters of the longest text that is made, however long a schema wants it."""

_SHORT = 30
"""Characters of text that is held against a pattern: some patterns take time that doubles with each character."""

_MOST_BRANCHES = 8
"""Alternatives of a pattern that longer text is held against as well."""

_PATTERN_LENGTH = 500
_MOST_REPEATS = 1000
"""Characters of a pattern that text is made for, and the repeats that it may ask for, multiplied."""

_MOST_QUANTIFIERS = 4
"""So many `*` and `+` may be repeated more often than they must: within each other, they multiply."""

_HUGE = 1e300
"""A bound that is no less is taken for none: whole numbers may be too large to reckon with."""

_EXAMPLE = "example"
_URL, _EMAIL, _DATE, _TIME = "https://example.com/", "user@example.com", "2026-01-15", "12:00"
_UUID = "00000000-0000-4000-8000-000000000000"

FORMATS = {
    "date": _DATE, "date-time": f"{_DATE}T12:00:00Z", "time": "12:00:00Z", "duration": "P1D",
    "email": _EMAIL, "idn-email": _EMAIL, "hostname": "example.com", "idn-hostname": "example.com",
    "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": _URL, "url": _URL, "iri": _URL, "uri-reference": "/example",
    "iri-reference": "/example", "uri-template": "/example/{id}", "uuid": _UUID, "json-pointer": "/example",
    "relative-json-pointer": "0", "regex": "^example$", "byte": "ZXhhbXBsZQ==",
}  # fmt: skip
"""An example of each format of JSON Schema Validation 2020-12, section 7.3, and of OpenAPI's `byte` and `url`."""

_NAMES = {
    "url": _URL, "uri": _URL, "link": _URL, "website": _URL, "email": _EMAIL, "host": "example.com",
    "hostname": "example.com", "domain": "example.com", "date": _DATE, "day": _DATE, "time": _TIME,
    "timezone": "UTC", "tz": "UTC", "language": "en", "lang": "en", "locale": "en", "uuid": _UUID,
}  # fmt: skip
_FOLDERS = frozenset({"directory", "dir", "folder", "cwd", "root", "repo", "repository", "workspace"})
_OF_FOLDERS = _FOLDERS | {"directories", "folders", "list", "ls", "search", "tree"}
_FILES = frozenset({"file", "files", "filename", "filenames", "path", "paths", "filepath"})

_PATTERN_TEXTS = (
    _EXAMPLE, "Example", "EXAMPLE", "example-1", "example1", "1", "a", "A", "en", "EN", "USD", "1.0.0", _DATE, _TIME,
    "12:00:00", _EMAIL, _URL, "/example", "example.txt", "#000000",
)  # fmt: skip
"""What is tried where a pattern must fit, before text is made from the pattern itself."""


def strings(schema: JsonObject, name: str, *, tool: str = "", reads_only: bool) -> Iterator[str]:
    """Give text for an argument, the likeliest first. `schema` is a schema of text, with all that it refers to.

    A tool that only reads (`reads_only`) may be given what is there in most places, `README.md` and the folder
    itself; any other is given names that hardly exist, so that nothing is overwritten. What only says that it is a path
    is one of a folder where the name of the `tool` says so.
    """
    pattern, least = schema.get("pattern"), _length(schema.get("minLength"), 0)
    most = _length(schema.get("maxLength"), LONGEST)
    likely = [FORMATS.get(str(schema.get("format")), ""), _named(name, tool, reads_only), _EXAMPLE]
    texts = list(dict.fromkeys(filter(None, likely)))
    if isinstance(pattern, str):
        texts = [text for text in (*texts, *_PATTERN_TEXTS) if len(text) <= _SHORT or _is_quick(pattern)]
        yield from (text for text in texts if least <= len(text) <= most)
        yield from made_for(pattern)
        return
    for text in texts:
        if least <= len(text) <= most:
            yield text
    if least <= LONGEST:
        yield (_EXAMPLE * (least // len(_EXAMPLE) + 1))[: max(least, min(most, len(_EXAMPLE)))]
    for number in range(2, 10):
        if least <= len(more := f"{_EXAMPLE}-{number}") <= most:
            yield more


def _is_quick(pattern: str) -> bool:
    """Tell whether a pattern is surely no work, however long the text: as that of a UUID, it repeats only characters.

    Each as often as it says, and never a group.
    """
    varies = re.search(r"[*+?]|\{\d*,|\)\{", pattern.replace("(?:", "("))
    return not varies and pattern.count("|") <= _MOST_BRANCHES and len(pattern) <= _PATTERN_LENGTH


def made_for(pattern: str) -> Iterator[str]:
    """Make short text in which a pattern is found, where that is no great work: the same each time."""
    repeats = math.prod(max(1, int(count)) for count in re.findall(r"\{(\d{1,9})", pattern))
    if len(pattern) > _PATTERN_LENGTH or repeats > _MOST_REPEATS or re.search(r"\\[1-9]|\(\?P=|\d{10}", pattern):
        return
    for times in (0, 1, 3, 8):
        if times > 1 and sum(map(pattern.count, "*+")) > _MOST_QUANTIFIERS:
            return
        try:
            yield Rstr(_Least(times)).xeger(_as_python(pattern))
        except (re.error, OverflowError, KeyError, IndexError, TypeError, ValueError, RecursionError):
            return  # a pattern of another dialect, or one that the library can't follow


def _as_python(pattern: str) -> str:
    """Translate common syntax of ECMA-262 patterns to Python's, roughly: samples are validated afterwards."""
    pattern = re.sub(r"\(\?<(?![=!])[^>]*>", "(", pattern)
    for name, characters in (("Lu|Uppercase(?:_Letter)?", "A-Z"), ("N|Nd", "0-9"), ("L|Ll|Alphabetic|Letter", "a-z")):
        made = rf"\\p\{{(?:General_Category=|gc=)?(?:{name})\}}"
        pattern = re.sub(rf"(\[[^\]]*){made}", rf"\g<1>{characters}", pattern)
        pattern = re.sub(made, f"[{characters}]", pattern)
    return pattern


class _Least(random.Random):
    """What a maker of random text takes for chance, and is none: the fewest repeats, and the plainest character."""

    def __init__(self, times: int) -> None:
        super().__init__(0)
        self._times = times

    def randint(self, a: int, b: int) -> int:
        """Give the least that is allowed, but `times` where that is possible."""
        return max(a, min(b, self._times))

    def choice(self, seq: Sequence[Any]) -> Any:  # type: ignore[override]  # the base's type is not its stubs'
        """Give the first, and of characters one that can be read: sets have no order that stays."""
        if all(isinstance(one, str) for one in seq):
            return min(seq, key=lambda one: (not one.isalpha(), not one.isalnum(), not one.isprintable(), one.lower()))
        return seq[0]


def numbers(schema: JsonObject, nth: int, *, whole: bool) -> Iterator[int | float]:
    """Give numbers within the bounds of a schema, likely ones first; the `nth` argument begins at `nth`."""
    lows = [bound for key in ("minimum", "exclusiveMinimum") if _is_number(bound := schema.get(key))]
    highs = [bound for key in ("maximum", "exclusiveMaximum") if _is_number(bound := schema.get(key))]
    low, high = max(lows, default=None), min(highs, default=None)
    step = schema.get("multipleOf")
    found: list[float] = [nth, 1, 0]
    if low is not None:
        found += [low, math.floor(low) + 1]
    if high is not None:
        found += [high, math.ceil(high) - 1]
    if low is not None and high is not None:
        found.append(low / 2 + high / 2)
    if _is_number(step) and step > 0:
        about = low if low is not None else high if high is not None else 0
        times = about / step
        if math.isfinite(times):
            found += [step * nth, *(step * (math.floor(times) + more) for more in (0, 1, 2, -1))]
    for number in dict.fromkeys(found):
        if not math.isfinite(number):
            continue
        if number == int(number):
            yield int(number)
        elif not whole:
            yield number


def _named(name: str, tool: str, reads_only: bool) -> str:
    """Give what an argument's name asks for: the last of its words that says anything counts."""
    words = _words(name)
    is_path = words[-1:] in (["path"], ["paths"]) and not _FILES.intersection(words[:-1])
    if _FOLDERS.intersection(words) or (is_path and _OF_FOLDERS.intersection(_words(tool))):
        return "." if reads_only else _EXAMPLE
    if _FILES.intersection(words):
        return "README.md" if reads_only else "example.txt"
    return next((_NAMES[word] for word in reversed(words) if word in _NAMES), "")


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name[:LONGEST]).lower())


def _length(value: Any, otherwise: int) -> int:
    return int(value) if _is_number(value) and value >= 0 else otherwise


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE
