"""Keeps secrets out of files and messages: replaced before anything is written, and before anything is cut short.

What the model and the server say to each other goes over the wire as it is; what is told of it does not.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from operator import is_
from typing import Any, TypeVar, cast
from urllib.parse import quote

from mcprun.errors import REDACTED, UsageError
from mcprun.records import Record

LEAST = 6
"""Characters that a value must have to be taken for a secret: `true` and `8080` would be found everywhere."""

_LONGEST_FIT = 4096
"""Characters: what fits a pattern is taken to be no longer, where text is cut between two writes."""

_SAFE = ("", "!$%&'()*+,", "!$%&'()*+,/:;=?@[\\]^`{|}")
"""Punctuation that URLs keep: none where all is escaped, and that of the user and of the query (WHATWG URL, 1.3)."""

_FIXED = frozenset({"type", "role", "id", "tool_use_id"})
"""Keys of messages and content blocks whose values have a meaning to programs."""

_SHAPED = frozenset({"content", "source", "resource"})
"""Keys of messages and content blocks under which there are more of them."""

_UNTOUCHED = frozenset({int, float, bool, type(None)})
"""Types of values that hold no text."""

T = TypeVar("T")


class Redactor:
    """Replaces secrets, and what fits a pattern, in text and in all text of a value.

    `secrets` are the values themselves; they are also found as JSON and URLs write them. `patterns` are regular
    expressions. Ids of queries stay, since runs are compared and resumed by them.
    Raises `UsageError` for a pattern that is none, or that fits the empty text.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._given = [compiled("--redact", pattern) for pattern in patterns]
        self.longest_fit = _LONGEST_FIT if self._given else 0
        """Characters that what fits a pattern may have, as far as anybody can know."""
        self._forms: list[str] = []
        self._longest = 0
        self._has_lines = False
        self.has_patterns = bool(self._given)
        self._patterns = self._given
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Replace these as well from now on: tokens come while a run goes on."""
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= LEAST}
        if forms.issubset(self._forms):
            return
        self._forms = sorted(forms.union(self._forms))
        self._longest = max(map(len, self._forms))
        self._has_lines = any("\n" in form for form in self._forms)
        literal = "|".join(re.escape(form) for form in sorted(self._forms, key=len, reverse=True))
        self._patterns = [re.compile(literal), *self._given]

    def text(self, text: str) -> str:
        """Replace what must not be seen; give the very same text when there is nothing."""
        for pattern in self._patterns:
            if pattern.search(text):
                text = pattern.sub(REDACTED, text)
        return text

    def safe_end(self, text: str, most: int | None = None) -> int:
        """Say how much of a text may be cleaned by itself, whatever follows: its end may be the beginning of a secret.

        That are at most so many characters, where `most` is given, and a little more where one fit is longer. No secret
        is parted, and nothing that fits a pattern; what may become a fit only with what follows is not looked at.
        """
        end = len(text) if most is None else most
        if not self._has_lines and text.endswith("\n", 0, end):
            return end
        found = [[fit.span() for fit in pattern.finditer(text)] for pattern in self._patterns]
        begun = self._begun(text, found[0] if self._forms else [])
        end = min(end, begun)
        for start, stop in _joined(span for spans in found for span in spans):
            if start < end < stop:
                return start or min(stop, begun)
        return end

    def _begun(self, text: str, found: list[tuple[int, int]]) -> int:
        """Say where a secret begins that the text may end in the midst of; `found` are those that are whole."""
        for at in range(max(0, len(text) - self._longest), len(text)):
            rest = text[at:]
            # Of all forms, one that begins with the rest and goes on stands right behind it.
            after = bisect_right(self._forms, rest)
            is_begun = after < len(self._forms) and self._forms[after].startswith(rest)
            if is_begun and not any(start < at < stop for start, stop in found):
                return at
        return len(text)

    def value(self, value: T) -> T:
        """Do the same in all strings of a JSON value, a record or an event; give the very same one if it has none."""
        if not self._patterns:
            return value
        return cast("T", self._value(value))

    def _value(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:  # most of what there is, and so first
            return self.text(value)
        if kind in _UNTOUCHED:
            return value
        if kind is dict:
            return self._mapping(value)
        match value:
            case list() | tuple():
                return _sequence(value, [self._value(item) for item in value])
            case Record():
                return self._record(value)
            case StrEnum():
                return value
            case str():
                return self.text(value)
            case Mapping():
                return self._mapping(value)
            case _ if is_dataclass(value) and not isinstance(value, type):
                return self._dataclass(value)
        return value

    def _mapping(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Clean an object of somebody else's, its keys as well; those that become the same are numbered."""
        changed: dict[str, Any] = {}
        is_same = True
        for key, item in value.items():
            clean, new = self._value(key), self._value(item)
            is_same = is_same and clean is key and new is item
            changed[clean if clean not in changed else f"{clean} {len(changed)}"] = new
        return value if is_same else changed

    def _record(self, record: Record) -> Record:
        """Clean a record: its fields, and within them what is not of a format of ours or of a protocol."""
        changed = {}
        for name, old in record.__dict__.items():
            if name in record.fixed:
                continue
            new = self._shaped(old) if name in record.shaped else self._value(old)
            if new is not old:
                changed[name] = new
        return record.model_copy(update=changed) if changed else record

    def _shaped(self, value: Any) -> Any:
        """Clean values whose keys have a meaning: messages, content blocks, tools, arguments."""
        if isinstance(value, list):
            return _sequence(value, [self._shaped(item) for item in value])
        if not isinstance(value, dict):
            return self._value(value)
        changed = {
            key: item if key in _FIXED and isinstance(item, str)
            else self._shaped(item) if key in _SHAPED
            else self._value(item)
            for key, item in value.items()
        }  # fmt: skip
        return value if all(map(is_, changed.values(), value.values())) else changed

    def _dataclass(self, value: Any) -> Any:
        """Look into the fields of an event; where it belongs to (`Where`) is told by ids."""
        changed = {}
        for name in _names(type(value)):  # type: ignore[arg-type]  # mypy looks at the hash of an instance
            old = getattr(value, name)
            new = self._value(old)
            if new is not old:
                changed[name] = new
        return replace(value, **changed) if changed else value


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "where")


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Make one span of those that overlap, in order."""
    start = stop = 0
    for first, last in sorted(spans):
        if first < stop:
            stop = max(stop, last)
            continue
        yield start, stop
        start, stop = first, last
    yield start, stop


def _sequence(value: Any, items: list[Any]) -> Any:
    """Give the very same list or tuple when its items are."""
    return value if all(map(is_, items, value)) else type(value)(items)


def _forms(secret: str) -> Iterator[str]:
    """Give a secret as it may be met: alone, within JSON, within a URL, and line by line."""
    for text in {secret, secret.strip(), *map(str.strip, secret.splitlines())}:
        data = _encoded(text)
        yield text
        yield data.decode("utf-8", "replace")
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield from (quote(data, safe=safe) for safe in _SAFE)


def _encoded(text: str) -> bytes:
    """Give the bytes of a text; of a variable that is no UTF-8 those that stand in the environment (PEP 383)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def compiled(flag: str, pattern: str) -> re.Pattern[str]:
    """Read a regular expression that a flag brings. Raises `UsageError` for one that can't be meant."""
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{flag} {pattern!r} is no regular expression: {error}") from None
    if found.search(""):
        raise UsageError(f"{flag} {pattern!r} fits the empty text, and so it would fit everywhere")
    return found
