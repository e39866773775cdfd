"""Redact secrets in text and in JSON values, before they are written, shown or truncated.

The model and the server exchange unredacted messages. Files, reports and the terminal get redacted copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from enum import StrEnum
from functools import cache
from operator import is_
from typing import Any, TypeVar, cast

from pydantic_core import to_json

from mcprun.errors import REDACTED
from mcprun.runs.option_patterns import RedactPatterns
from mcprun.runs.record_base import Record
from mcprun.runs.secret_forms import Form, encode_text, forms

LEAST = 6
"""Minimum characters of a secret. Shorter values, such as `true` and `8080`, would match everywhere."""

_MAX_MATCH = 4096
"""Maximum characters that a match of a pattern is assumed to have where text is split between two writes."""

_FRAME = frozenset({"type", "role", "id", "tool_use_id"})
"""Keys of the Messages API whose values identify, pair or classify messages and blocks."""

_KEYS = frozenset({
    "type", "text", "data", "mimeType", "uri", "blob", "resource", "name", "title", "description", "size", "icons",
    "annotations", "_meta", "uriTemplate", "arguments", "inputSchema", "outputSchema", "execution", "content", "source",
    "media_type", "url", "role", "id", "tool_use_id", "is_error", "isError", "structuredContent", "context",
    "citations", "cache_control",
})  # fmt: skip
"""Keys of MCP and the Messages API for content, tools, prompts and resources, which are never redacted as keys."""

_WORDS = {
    "type": frozenset({
        "text", "image", "audio", "document", "resource", "resource_link", "search_result", "tool_use", "tool_result",
        "base64", "url", "content", "file",
    }),
    "role": frozenset({"user", "assistant"}),
}  # fmt: skip
"""Values that the protocols define for these keys. Any other value is text from the server."""

_NESTED = frozenset({"content", "source", "resource"})
"""Keys of content whose values are content as well."""

_UNTOUCHED = frozenset({bool, type(None)})
_NUMBERS = frozenset({int, float, *_UNTOUCHED})
"""Types without text, and the same with numbers, which are never secrets in mcprun's own fields."""

T = TypeVar("T")


class Redactor:
    """Replaces secrets and matches of patterns in text, and in all text of a value.

    `secrets` are plain values. Their escaped, base64 and hex forms are redacted as well (`runs/secret_forms.py`).
    `patterns` are regular expressions. Query ids are not redacted, since runs are compared and resumed by them. Raises
    `UsageError` for a pattern that is invalid or matches the empty text.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self._patterns = RedactPatterns(patterns)
        self.longest_fit = _MAX_MATCH if self._patterns else 0
        """Maximum characters that a match of a pattern is assumed to have. 0 without patterns."""
        self.has_patterns = bool(self._patterns)
        self._texts: set[str] = set()
        self._forms: list[Form] = []
        self._cores: tuple[str, ...] = ()
        self._encoded_cores: tuple[bytes, ...] = ()
        self._least = 0
        self._has_lines = False
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets that become known during a run, such as OAuth tokens."""
        for secret in secrets:
            for text, is_part in _texts(secret):
                if len(text) >= LEAST and text not in self._texts:
                    self._texts.add(text)
                    self._forms += forms(text, is_part=is_part)
        if self._forms:
            self._cores = tuple(dict.fromkeys(core for form in self._forms for core in form.cores))
            self._encoded_cores = tuple(core.encode() for core in self._cores)
            self._least = min(form.least for form in self._forms)
            self._has_lines = any("\n" in text for text in self._texts)

    def text(self, text: str) -> str:
        """Redact secrets and matches of the patterns in a text; return the same object if there are none."""
        return self._patterns.redact(self._without_secrets(text))

    def _without_secrets(self, text: str) -> str:
        if self._forms and len(text) >= self._least and any(map(text.__contains__, self._cores)):
            parts, done = list[str](), 0
            for start, stop in self._secrets(text):
                parts += text[done:start], REDACTED
                done = stop
            if parts:
                text = "".join([*parts, text[done:]])
        return text

    def take_warnings(self) -> list[str]:
        """Return the new warnings about patterns that timed out, already redacted."""
        if not self._patterns.warnings:
            return []
        warnings, self._patterns.warnings = self._patterns.warnings, []
        return [self._without_secrets(warning) for warning in warnings]

    def _secrets(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of secrets from left to right. Of those that start at the same offset, yield the longest."""
        patterns = [form.pattern for form in self._forms if any(map(text.__contains__, form.cores))]
        end, next_spans = 0, dict.fromkeys(patterns, (-1, -1))
        while next_spans:
            for pattern, (start, _) in list(next_spans.items()):
                if start < end:
                    if match := pattern.search(text, end):
                        next_spans[pattern] = match.span()
                    else:
                        del next_spans[pattern]
            if next_spans:
                start, end = min(next_spans.values(), key=lambda span: (span[0], -span[1]))
                yield start, end

    def safe_length(self, text: str, max_chars: int | None = None) -> int:
        """Return how many characters of a text can be redacted on their own, independent of the text that follows.

        The rest may be the start of a secret. With `max_chars`, return at most that many, or a little more if the text
        starts with a longer match. Neither secrets nor matches of patterns are split. Matches that would only be
        complete with the following text are not considered.
        """
        end = len(text) if max_chars is None else max_chars
        if not self._has_lines and text.endswith("\n", 0, end):
            return end
        secrets = list(self._secrets(text))
        span_lists = [secrets, *self._patterns.spans(text)]
        partial_start = self._partial_secret_offset(text, secrets)
        end = min(end, partial_start)
        for start, stop in _joined(span for spans in span_lists for span in spans):
            if start < end < stop:
                return start or min(stop, partial_start)
        return end

    def _partial_secret_offset(self, text: str, found: list[tuple[int, int]]) -> int:
        """Return the offset of a secret that the end of the text may cut off, or the length of the text.

        `found` holds the spans of complete secrets.
        """
        places = (at for form in self._forms for at in form.partial_offsets(text))
        return min((at for at in places if not any(start < at < stop for start, stop in found)), default=len(text))

    def may_change(self, text: bytes) -> bool:
        """Return whether `value` may change a value whose JSON, in UTF-8, is in `text`.

        The cores of secrets are letters and digits, which JSON never escapes.
        """
        return self.has_patterns or any(map(text.__contains__, self._encoded_cores))

    def value(self, value: T) -> T:
        """Redact strings and numbers in a JSON value, record or event. Return the same object if nothing changes."""
        if not self._forms and not self._patterns:
            return value
        with suppress(ValueError):  # what can't be serialised is searched value by value
            if not self.may_change(to_json(value)):
                return value
        self._patterns.prefetch(value)
        return cast("T", self._value(value))

    def _value(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:  # the most common type, so it comes first
            return self.text(value)
        if kind in _UNTOUCHED:
            return value
        if kind is dict:
            return self._mapping(value)
        if kind is int or kind is float:
            return self._number(value)
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

    def _number(self, value: float) -> Any:
        """Redact a number whose digits contain a secret."""
        if -(10 ** (LEAST - 1)) < value < 10 ** (LEAST - 1) and type(value) is int:
            return value
        digits = repr(value)
        return value if self.text(digits) is digits else REDACTED

    def _mapping(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Redact an object from a server, including its keys. Keys that become equal are numbered."""
        changed: dict[str, Any] = {}
        is_same = True
        for key, item in value.items():
            name, new = self._value(key), self._value(item)
            is_same = is_same and name is key and new is item
            changed[name if name not in changed else f"{name} {len(changed)}"] = new
        return value if is_same else changed

    def _record(self, record: Record) -> Record:
        """Redact the fields of a record, except those with fixed values. Numbers in fields are mcprun's own."""
        changed = {}
        for name, old in record.__dict__.items():
            if type(old) in _NUMBERS or name in record.fixed:
                continue
            shape = record.shaped.get(name)
            new = self._value(old) if shape is None else self._shaped(old, shape)
            if new is not old:
                changed[name] = new
        return record.model_copy(update=changed) if changed else record

    def _shaped(self, value: Any, shape: str) -> Any:
        """Redact a value whose keys are defined by a format (`Record.shaped`)."""
        match shape:
            case "messages":
                return self._frame(value)
            case "arguments":
                return {key: self._argument(item) for key, item in value.items()}
        return self._content(value)

    def _argument(self, value: Any) -> Any:
        return value if type(value) in _NUMBERS else self._value(value)

    def _frame(self, value: Any) -> Any:
        """Redact messages or blocks of the Messages API, except the ids that pair blocks outside of their content."""
        if isinstance(value, list):
            return _sequence(value, [self._frame(item) for item in value])
        if not isinstance(value, dict):
            return self._value(value)
        changed = {
            key: item if key in _FRAME and isinstance(item, str)
            else self._frame(item) if key == "content" and "role" in value
            else self._content(item) if key in _NESTED
            else self._value(item)
            for key, item in value.items()
        }  # fmt: skip
        return value if all(map(is_, changed.values(), value.values())) else changed

    def _content(self, value: Any) -> Any:
        """Redact content, tools or prompts from a server, except keys and types that the protocols define."""
        if isinstance(value, list):
            return _sequence(value, [self._content(item) for item in value])
        if not isinstance(value, dict):
            return self._value(value)
        changed: dict[str, Any] = {}
        is_same = True
        for key, item in value.items():
            name = key if key in _KEYS else self._value(key)
            if key in _WORDS and isinstance(item, str) and item in _WORDS[key]:
                new = item
            else:
                new = self._content(item) if key in _NESTED else self._value(item)
            is_same = is_same and name is key and new is item
            changed[name if name not in changed else f"{name} {len(changed)}"] = new
        return value if is_same else changed

    def _dataclass(self, value: Any) -> Any:
        """Redact the fields of an event, except `where`, which identifies it by ids."""
        changed = {}
        for name in _names(type(value)):  # type: ignore[arg-type]  # mypy looks at the hash of an instance
            old = getattr(value, name)
            if type(old) in _NUMBERS:
                continue  # mcprun's own values, such as times and counts
            new = self._value(old)
            if new is not old:
                changed[name] = new
        return replace(value, **changed) if changed else value


@cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name != "where")


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the spans in order, merging those that overlap."""
    start = stop = 0
    for first, last in sorted(spans):
        if first < stop:
            stop = max(stop, last)
            continue
        yield start, stop
        start, stop = first, last
    yield start, stop


def _sequence(value: Any, items: list[Any]) -> Any:
    """Return `value` itself if its items are identical to `items`, else a list or tuple of `items`."""
    return value if all(map(is_, items, value)) else type(value)(items)


def _texts(secret: str) -> Iterator[tuple[str, bool]]:
    """Yield a secret as a whole and line by line, each with whether it is only a part of the secret."""
    whole = {secret, secret.strip()}
    lines = {*map(str.strip, secret.splitlines())} - whole
    for texts, is_part in ((whole, False), (lines, True)):
        for text in texts:
            yield text, is_part
            yield encode_text(text).decode("utf-8", "replace"), True
