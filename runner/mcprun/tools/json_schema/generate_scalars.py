"""Generate candidate strings and numbers for a JSON Schema: plausible for the argument's name, and harmless. Pure.

A candidate need not be valid: `tools/json_schema/generate.py` validates each against the whole schema.
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
"""Maximum characters of a generated string, even if the schema requires more."""

_SHORT = 30
"""Maximum characters of a candidate for a slow pattern: with some, matching time doubles with each character."""

_MAX_BRANCHES = 8
"""Maximum alternatives of a pattern that is also tried with longer strings."""

_PATTERN_LENGTH = 500
_MAX_REPEATS = 1000
"""Maximum characters of a pattern to generate strings for, and the maximum product of its repeat counts."""

_MAX_QUANTIFIERS = 4
"""Maximum `*` and `+` in a pattern to repeat more often than once: nested ones multiply."""

_HUGE = 1e300
"""Bounds from here on are ignored: integers may be too large for floating-point arithmetic."""

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
"""Strings to try against a `pattern`, before generating some from the pattern itself."""


def strings(schema: JsonObject, name: str, *, tool: str = "", reads_only: bool) -> Iterator[str]:
    """Yield strings for an argument, the likeliest first. `schema` is a string schema with references resolved.

    A tool that only reads (`reads_only`) gets paths that usually exist, `README.md` and the current directory. Other
    tools get names that are unlikely to exist, so that nothing is overwritten. An argument named just `path` is a
    directory if the name of the `tool` suggests it.
    """
    pattern, min_length = schema.get("pattern"), _length(schema.get("minLength"), 0)
    max_length = _length(schema.get("maxLength"), LONGEST)
    likely = [FORMATS.get(str(schema.get("format")), ""), _named(name, tool, reads_only), _EXAMPLE]
    texts = list(dict.fromkeys(filter(None, likely)))
    if isinstance(pattern, str):
        texts = [text for text in (*texts, *_PATTERN_TEXTS) if len(text) <= _SHORT or _is_quick(pattern)]
        yield from (text for text in texts if min_length <= len(text) <= max_length)
        yield from strings_matching(pattern)
        return
    for text in texts:
        if min_length <= len(text) <= max_length:
            yield text
    if min_length <= LONGEST:
        yield (_EXAMPLE * (min_length // len(_EXAMPLE) + 1))[: max(min_length, min(max_length, len(_EXAMPLE)))]
    for number in range(2, 10):
        if min_length <= len(more := f"{_EXAMPLE}-{number}") <= max_length:
            yield more


def _is_quick(pattern: str) -> bool:
    """Return whether a pattern is certain to match fast on text of any length, such as that of a UUID.

    It may repeat only single characters or classes, a fixed number of times, and never a group.
    """
    varies = re.search(r"[*+?]|\{\d*,|\)\{", pattern.replace("(?:", "("))
    return not varies and pattern.count("|") <= _MAX_BRANCHES and len(pattern) <= _PATTERN_LENGTH


def strings_matching(pattern: str) -> Iterator[str]:
    """Yield short strings that match a pattern, if it is cheap to generate them. The result is deterministic."""
    repeats = math.prod(max(1, int(count)) for count in re.findall(r"\{(\d{1,9})", pattern))
    if len(pattern) > _PATTERN_LENGTH or repeats > _MAX_REPEATS or re.search(r"\\[1-9]|\(\?P=|\d{10}", pattern):
        return
    for times in (0, 1, 3, 8):
        if times > 1 and sum(map(pattern.count, "*+")) > _MAX_QUANTIFIERS:
            return
        try:
            yield Rstr(_Least(times)).xeger(_as_python(pattern))
        except (re.error, OverflowError, KeyError, IndexError, TypeError, ValueError, RecursionError):
            return  # a pattern in another dialect, or one that rstr does not support


def _as_python(pattern: str) -> str:
    """Translate common ECMA-262 pattern syntax to Python's. This is approximate: samples are validated afterwards."""
    pattern = re.sub(r"\(\?<(?![=!])[^>]*>", "(", pattern)
    for name, characters in (("Lu|Uppercase(?:_Letter)?", "A-Z"), ("N|Nd", "0-9"), ("L|Ll|Alphabetic|Letter", "a-z")):
        property_class = rf"\\p\{{(?:General_Category=|gc=)?(?:{name})\}}"
        pattern = re.sub(rf"(\[[^\]]*){property_class}", rf"\g<1>{characters}", pattern)
        pattern = re.sub(property_class, f"[{characters}]", pattern)
    return pattern


class _Least(random.Random):
    """A deterministic source for rstr: it returns the fewest repeats and the plainest characters."""

    def __init__(self, times: int) -> None:
        super().__init__(0)
        self._times = times

    def randint(self, a: int, b: int) -> int:
        """Return the value in the range that is closest to `times`."""
        return max(a, min(b, self._times))

    def choice(self, seq: Sequence[Any]) -> Any:  # type: ignore[override]  # the base's type is not its stubs'
        """Return the first item, or the most readable of several strings: the order of sets is not stable."""
        if all(isinstance(one, str) for one in seq):
            return min(seq, key=lambda one: (not one.isalpha(), not one.isalnum(), not one.isprintable(), one.lower()))
        return seq[0]


def numbers(schema: JsonObject, nth: int, *, whole: bool) -> Iterator[int | float]:
    """Yield numbers for a schema, the likeliest first, derived from its bounds; the first one tried is `nth`."""
    lows = [bound for key in ("minimum", "exclusiveMinimum") if _is_number(bound := schema.get(key))]
    highs = [bound for key in ("maximum", "exclusiveMaximum") if _is_number(bound := schema.get(key))]
    low, high = max(lows, default=None), min(highs, default=None)
    step = schema.get("multipleOf")
    candidates: list[float] = [nth, 1, 0]
    if low is not None:
        candidates += [low, math.floor(low) + 1]
    if high is not None:
        candidates += [high, math.ceil(high) - 1]
    if low is not None and high is not None:
        candidates.append(low / 2 + high / 2)
    if _is_number(step) and step > 0:
        start = low if low is not None else high if high is not None else 0
        times = start / step
        if math.isfinite(times):
            candidates += [step * nth, *(step * (math.floor(times) + more) for more in (0, 1, 2, -1))]
    for number in dict.fromkeys(candidates):
        if not math.isfinite(number):
            continue
        if number == int(number):
            yield int(number)
        elif not whole:
            yield number


def _named(name: str, tool: str, reads_only: bool) -> str:
    """Return a string that suits an argument's name, by the last of its words that is known; empty if none is."""
    words = _split_name(name)
    is_path = words[-1:] in (["path"], ["paths"]) and not _FILES.intersection(words[:-1])
    if _FOLDERS.intersection(words) or (is_path and _OF_FOLDERS.intersection(_split_name(tool))):
        return "." if reads_only else _EXAMPLE
    if _FILES.intersection(words):
        return "README.md" if reads_only else "example.txt"
    return next((_NAMES[word] for word in reversed(words) if word in _NAMES), "")


def _split_name(name: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name[:LONGEST]).lower())


def _length(value: Any, otherwise: int) -> int:
    return int(value) if _is_number(value) and value >= 0 else otherwise


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE
