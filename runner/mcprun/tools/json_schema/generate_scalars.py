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
from mcprun.tools.json_schema.described_values import described_numbers, described_strings
from mcprun.tools.json_schema.named_values import (
    DATE,
    EMAIL,
    EXAMPLE,
    LONGEST,
    TIME,
    URL,
    UUID,
    Argument,
    named_number,
    named_strings,
)

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

FORMATS = {
    "date": DATE, "date-time": f"{DATE}T12:00:00Z", "time": "12:00:00Z", "duration": "P1D",
    "email": EMAIL, "idn-email": EMAIL, "hostname": "example.com", "idn-hostname": "example.com",
    "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": URL, "url": URL, "iri": URL, "uri-reference": "/example",
    "iri-reference": "/example", "uri-template": "/example/{id}", "uuid": UUID, "json-pointer": "/example",
    "relative-json-pointer": "0", "regex": "^example$", "byte": "ZXhhbXBsZQ==",
}  # fmt: skip
"""An example of each format of JSON Schema Validation 2020-12, section 7.3, and of OpenAPI's `byte` and `url`."""

_PATTERN_TEXTS = (
    EXAMPLE, "Example", "EXAMPLE", "example-1", "example1", "1", "a", "A", "en", "EN", "USD", "1.0.0", DATE, TIME,
    "12:00:00", EMAIL, URL, "/example", "example.txt", "#000000",
)  # fmt: skip
"""Strings to try against a `pattern`, before generating some from the pattern itself."""


def strings(schema: JsonObject, argument: Argument) -> Iterator[str]:
    """Yield strings for an argument, the likeliest first. `schema` is a string schema with references resolved.

    A tool that only reads gets paths that usually exist, `README.md` and the current directory. Other tools get names
    that are unlikely to exist, so that nothing is overwritten. An argument named just `path` is a directory if the name
    of the tool suggests it. Examples in descriptions come first, except for paths, which exist elsewhere.
    """
    pattern, min_length = schema.get("pattern"), _length(schema.get("minLength"), 0)
    max_length = _length(schema.get("maxLength"), LONGEST)
    described, named = list(described_strings(argument.about)), list(named_strings(argument))
    likely = [FORMATS.get(str(schema.get("format")), "")]
    likely += [*named, *described, EXAMPLE] if argument.is_path else [*described, *named, EXAMPLE]
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
        yield (EXAMPLE * (min_length // len(EXAMPLE) + 1))[: max(min_length, min(max_length, len(EXAMPLE)))]
    for number in range(2, 10):
        if min_length <= len(more := f"{EXAMPLE}-{number}") <= max_length:
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


def numbers(schema: JsonObject, nth: int, argument: Argument, *, whole: bool) -> Iterator[int | float]:
    """Yield numbers for a schema, the likeliest first: from its description, by its name, `nth`, from its bounds."""
    lows = [bound for key in ("minimum", "exclusiveMinimum") if _is_number(bound := schema.get(key))]
    highs = [bound for key in ("maximum", "exclusiveMaximum") if _is_number(bound := schema.get(key))]
    low, high = max(lows, default=None), min(highs, default=None)
    step = schema.get("multipleOf")
    named = named_number(argument.name)
    candidates: list[float] = [*described_numbers(argument.about), *([named] if named is not None else []), nth, 1, 0]
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


def _length(value: Any, otherwise: int) -> int:
    return int(value) if _is_number(value) and value >= 0 else otherwise


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE
