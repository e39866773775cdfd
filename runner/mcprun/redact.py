"""Keeps secrets out of files and messages: replaced before anything is written, and before anything is cut short.

What the model and the server say to each other goes over the wire as it is; what is told of it does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import quote

from mcprun.errors import REDACTED, UsageError
from mcprun.records import Record

LEAST = 6
"""Characters that a value must have to be taken for a secret: `true` and `8080` would be found everywhere."""

T = TypeVar("T")


class Redactor:
    """Replaces secrets, and what fits a pattern, in text and in all text of a value.

    `secrets` are the values themselves; they are also found as JSON and URLs write them. `patterns` are regular
    expressions. Ids of queries stay, since runs are compared and resumed by them.
    Raises `UsageError` for a pattern that is none, or that fits the empty text.
    """

    def __init__(self, secrets: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= LEAST}
        literal = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        self._patterns = [re.compile(literal)] if forms else []
        self._patterns += [_compiled(pattern) for pattern in patterns]

    def text(self, text: str) -> str:
        """Replace what must not be seen; give the very same text when there is nothing."""
        for pattern in self._patterns:
            if pattern.search(text):
                text = pattern.sub(REDACTED, text)
        return text

    def value(self, value: T) -> T:
        """Do the same in all strings of a JSON value, a record or an event; give the very same one if it has none."""
        if not self._patterns:
            return value
        return cast("T", self._value(value))

    def _value(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                changed = {self._value(key): self._value(item) for key, item in value.items()}
                return changed if _differ(changed, value) else value
            case list() | tuple():
                items = [self._value(item) for item in value]
                is_same = all(new is old for new, old in zip(items, value, strict=True))
                return value if is_same else type(value)(items)
            case Record():
                return self._record(value)
            case _ if is_dataclass(value) and not isinstance(value, type):
                return self._dataclass(value)
        return value

    def _record(self, record: Record) -> Record:
        line = record.line()
        changed = self._value(line)
        return record if changed is line else type(record).model_validate(changed | {"id": line.get("id")})

    def _dataclass(self, value: Any) -> Any:
        """Look into the fields of an event; where it belongs to (`Where`) is told by ids."""
        old = {field.name: getattr(value, field.name) for field in fields(value) if field.name != "where"}
        changed = {name: new for name, item in old.items() if (new := self._value(item)) is not item}
        return replace(value, **changed) if changed else value


def _differ(changed: Mapping[Any, Any], value: Mapping[Any, Any]) -> bool:
    return any(
        key is not other or item is not value[other] for (key, item), other in zip(changed.items(), value, strict=False)
    ) or len(changed) != len(value)


def _forms(secret: str) -> Iterator[str]:
    """Give a secret as it may be met: alone, within JSON, within a URL, and line by line."""
    lines = secret.splitlines()
    for text in (secret, *(lines if len(lines) > 1 else ())):
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield quote(text, safe="")


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--redact {pattern!r} is no regular expression: {error}") from None
    if compiled.search(""):
        raise UsageError(f"--redact {pattern!r} fits the empty text, and so it would fit everywhere")
    return compiled
