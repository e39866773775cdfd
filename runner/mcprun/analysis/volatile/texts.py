"""Find the scrubs that make two texts equal. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mcprun.analysis.volatile.likelihood import Interval, compiled_scrubs, is_random_id, likely, text_before

_MAX_CHARS = 100_000
"""The longest text of which the parts are compared. Longer ones differ as a whole."""

_MAX_PATTERNS = 3
"""The most places of one text that patterns of their own are made for. With more, the text differs as a whole."""

_CONTEXT = 3
"""The most words of the text before a volatile word that its pattern contains."""

_TOKEN = re.compile(r"\d+(?:\.\d+)?(?![^\W_])|[^\W_]+|\s+|.", re.DOTALL)


def scrubbed(text: str, names: Sequence[str]) -> str:
    """Return a text with the matches of these scrubs replaced."""
    for name in names:
        text = compiled_scrubs()[name].sub(f"<{name}>", text)
    return text


def covering_scrubs(one: str, other: str, normalize: Callable[[str], object] = str) -> tuple[str, ...]:
    """Return the fewest scrubs that make two texts equal, compared by what `normalize` returns; empty if none do."""
    names = [name for name, pattern in compiled_scrubs().items() if pattern.search(one) or pattern.search(other)]

    def cover(some: Sequence[str]) -> bool:
        return normalize(scrubbed(one, some)) == normalize(scrubbed(other, some))

    if not names or not cover(names):
        return ()
    for name in reversed(list(names)):  # the least specific first
        if cover(rest := [kept for kept in names if kept != name]):
            names = rest
    return tuple(names)


def sorted_lines(text: str) -> list[str]:
    """Return the lines of a text in order, for texts whose lines come in any order."""
    return sorted(text.split("\n"))


_ESCAPED = r"\\\g<0>"
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
"""A character with a meaning in regular expressions. `re.escape` also escapes spaces, which then are hard to read."""


@dataclass(frozen=True, slots=True)
class _Match:
    text: str
    before: str


def are_likely(one: str, other: str, names: Sequence[str], interval: Interval) -> bool:
    """Return whether each difference that these scrubs hide is volatile by its nature."""
    for at, name in enumerate(names):
        sides = [_matches(name, scrubbed(text, names[:at])) for text in (one, other)]
        for before, after in zip(*sides, strict=False):
            if before.text != after.text and not likely(name, before.text, after.text, before.before, interval):
                return False
    return True


def _matches(name: str, text: str) -> list[_Match]:
    found = compiled_scrubs()[name].finditer(text)
    return [_Match(one[0], text_before(one)) for one in found]


def patterns_between(one: str, other: str, *, only_random: bool) -> tuple[str, ...]:
    """Return regular expressions for the words in which two texts differ, each with its context; empty if none fit.

    A word qualifies if it is a number or has a digit in it, on both sides; with `only_random`, if it looks random.
    """
    if max(len(one), len(other)) > _MAX_CHARS:
        return ()
    sides = [_TOKEN.findall(text) for text in (one, other)]
    if len(sides[0]) != len(sides[1]):
        return ()
    patterns: dict[str, None] = {}
    for at, (before, after) in enumerate(zip(*sides, strict=True)):
        if before == after:
            continue
        pattern = _pattern(sides[0], at, before, after, only_random=only_random)
        patterns[pattern] = None
        if not pattern or len(patterns) > _MAX_PATTERNS:
            return ()
    cleaned = [one, other]
    for pattern in patterns:
        cleaned = [re.sub(pattern, "", text) for text in cleaned]
    return tuple(patterns) if cleaned[0] == cleaned[1] else ()


def _pattern(tokens: Sequence[str], at: int, before: str, after: str, *, only_random: bool) -> str:
    """Return a pattern for a word after the words that precede it on its line; empty if no word precedes it."""
    if not all(any(character.isdigit() for character in word) for word in (before, after)):
        return ""
    if only_random and not is_random_id(before, after):
        return ""
    start, words = at, 0
    while start > 0 and "\n" not in tokens[start - 1] and words < _CONTEXT and not _has_digit(tokens[start - 1]):
        start -= 1
        words += tokens[start].isalpha()
    context = "".join(tokens[start:at])
    if not any(character.isalpha() for character in context):
        return ""
    is_number = all(re.fullmatch(r"\d+(?:\.\d+)?", word) for word in (before, after))
    word = "[0-9]+(?:[.][0-9]+)?" if is_number else "[0-9A-Za-z]+"
    return f"(?<={_SPECIAL.sub(_ESCAPED, context)}){word}"


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)
