"""Make untrusted text safe for a terminal: it must not move the cursor or hide other text."""

from __future__ import annotations

import json
import unicodedata

from mcprun._util.code_points import emoji_joiners
from mcprun._util.plural import plural as plural

_VISIBLE_CONTROLS = frozenset("\n\t")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that are invisible or change other text: controls, format marks (such as bidi), separators."""


def visible(text: str) -> str:
    """Escape control and format characters as Python does (`\\x1b`).

    Line breaks, tabs, and the joiners of an emoji that consists of several are kept.
    """
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    if text.replace("\n", "").replace("\t", "").isprintable():  # most texts of several lines, ten times as fast
        return text
    joiners = emoji_joiners(text)
    return "".join(
        character
        if character in _VISIBLE_CONTROLS or unicodedata.category(character) not in _UNSEEN or at in joiners
        else character.encode("unicode_escape").decode("ascii")
        for at, character in enumerate(text)
    )


def visible_json(text: str) -> str:
    """Escape control and format characters in JSON as JSON does (`\\u001b`), so that its values stay the same."""
    if text.isprintable():
        return text
    joiners = emoji_joiners(text)
    return "".join(
        json.dumps(character)[1:-1]
        if character != "\n" and unicodedata.category(character) in _UNSEEN and at not in joiners
        else character
        for at, character in enumerate(text)
    )


def one_line(text: str, length: int) -> str:
    """Put text on one line of at most `length` characters, with controls escaped."""
    line = visible(" ".join(text.split())[: length + 1])  # a character is never escaped by less than itself
    return line if len(line) <= length else line[: length - 1] + "…"


def cut(text: str, length: int) -> str:
    """Cut text to `length` characters, and append how many are left out."""
    if len(text) <= length:
        return text
    return f"{text[:length]}… ({len(text) - length:,} more characters)"


def verdict_count(verdict: str, count: int) -> str:
    """Return how many queries have a verdict: `3 passed`, `1 error`, `2 errors`."""
    return plural(count, verdict) if verdict == "error" else f"{count:,} {verdict}"


def duration(seconds: float | None) -> str:
    """Format a duration in seconds: `4 ms`, `1.25 s`, `3 min 20 s`, `2 h 05 min`; `?` if unknown."""
    if seconds is None:
        return "?"
    if seconds < 0.9995:
        return f"{seconds * 1000:.2g} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def moment(at: str) -> str:
    """Format a time from a run's files (ISO 8601 in UTC) to the minute: `2026-11-22 10:00 UTC`."""
    return f"{at[:16].replace('T', ' ')} UTC"
