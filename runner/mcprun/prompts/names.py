"""Replace names such as `{{number}}` in the parts of a query by their values. Pure.

Only queries with `vars`, `before`, `after` or `cleanup` have names. In text, a name stands for its value as text. In a
JSON value, a string that is only a name stands for the value itself, with its type.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from mcprun._util.json_path import child_path

UNIQUE = "unique"
"""The name that every such query has: text that differs between queries, and between repeats of one."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_PART_OF_NAME = re.compile(r"\{\{ *(" + NAME.pattern + r")[.\[/][^{}]*\}\}")

_IN_BRACES = re.compile(r"\{\{ *(" + NAME.pattern + r") *\}\}")


class Mode(Enum):
    """What a part of a query holds: text, a regular expression, a JSON value, an expected value, or a JSON Schema."""

    TEXT = "text"
    PATTERN = "pattern"
    VALUE = "value"
    EXPECTED = "expected"
    SCHEMA = "schema"


Modes = Mode | Mapping[str, "Modes"]
"""The mode of a part, or those of its keys. Other keys hold no names. A list has the modes of its items."""

EXPECTED_TEXT: Modes = {
    "contains": Mode.TEXT,
    "not_contains": Mode.TEXT,
    "equals": Mode.TEXT,
    "regex": Mode.PATTERN,
    "json_schema": Mode.SCHEMA,
}

SPOKEN: Modes = {"expect": {"text": EXPECTED_TEXT, "judge": Mode.TEXT}}
"""The parts of a query about what the model says."""

CONVERSATION: Modes = {
    "prompt": Mode.TEXT,
    "prompts": Mode.TEXT,
    "system": Mode.TEXT,
    "server_prompt": Mode.TEXT,
    "resources": Mode.TEXT,
    "elicit": {"content": Mode.VALUE, "match": Mode.PATTERN},
    "sampling": Mode.TEXT,
    "expect": {
        "calls": {"tool": Mode.TEXT, "input": Mode.EXPECTED, "result": Mode.EXPECTED},
        "never": Mode.TEXT,
    },
}
"""The parts of a query about the conversation whose names are replaced before it begins."""

SCRIPT: Modes = {"text": Mode.TEXT, "calls": {"input": Mode.VALUE}}
"""The parts of a turn of the script, whose names are replaced when it is used."""

STEP: Modes = {"input": Mode.VALUE, "resource": Mode.TEXT, "result": Mode.EXPECTED, "text": EXPECTED_TEXT}
"""The parts of a step, whose names are replaced when it is run."""


def unique_text(query: str, repeat: int) -> str:
    """Return the value of `{{unique}}`: a letter and 11 hex digits, derived from the query's id and the repeat only."""
    return "u" + hashlib.sha256(f"{query}\n{repeat}".encode()).hexdigest()[:11]


def has_name(text: str) -> bool:
    """Return whether a text contains a name in braces."""
    return _IN_BRACES.search(text) is not None


def begins_with_name(text: str) -> bool:
    """Return whether a text begins with a name in braces."""
    return _IN_BRACES.match(text) is not None


def is_name(text: str) -> bool:
    """Return whether a text is only a name in braces, which stands for a value of any type."""
    return _IN_BRACES.fullmatch(text) is not None


def names_in(value: Any, modes: Modes, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each name in the parts that `modes` describe, with the path of its string, such as `calls[0].input.id`."""
    for text, place in _texts_in(value, modes, path):
        yield from ((name, place) for name in _IN_BRACES.findall(text))


def parts_of_names_in(value: Any, modes: Modes, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield what is written like a part of a name, as `{{issue.id}}`: the braces, the name and the path."""
    for text, place in _texts_in(value, modes, path):
        yield from ((found[0], found[1], place) for found in _PART_OF_NAME.finditer(text))


def _texts_in(value: Any, modes: Modes, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts_in(item, modes, child_path(path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            inner = modes if isinstance(modes, Mode) else modes.get(key)
            if inner is not None:
                yield from _texts_in(item, inner, child_path(path, key))
    elif isinstance(value, str) and isinstance(modes, Mode):
        yield value, path


def with_values(value: Any, modes: Modes, values: Mapping[str, Any]) -> Any:
    """Return a value with the names in the parts that `modes` describe replaced. Names without a value stay."""
    if isinstance(value, list):
        return [with_values(item, modes, values) for item in value]
    if isinstance(value, dict):
        return {key: _member(key, item, modes, values) for key, item in value.items()}
    return _string(value, modes, values) if isinstance(value, str) and isinstance(modes, Mode) else value


def _member(key: str, item: Any, modes: Modes, values: Mapping[str, Any]) -> Any:
    if not isinstance(modes, Mode):
        inner = modes.get(key)
        return item if inner is None else with_values(item, inner, values)
    match modes, key:
        case (Mode.EXPECTED, "$regex") | (Mode.SCHEMA, "pattern") if not isinstance(item, dict):
            return with_values(item, Mode.PATTERN, values)
        case (Mode.EXPECTED, "$equals"):
            return with_values(item, Mode.VALUE, values)
    return with_values(item, modes, values)


def _string(text: str, mode: Mode, values: Mapping[str, Any]) -> Any:
    whole = _IN_BRACES.fullmatch(text)
    if whole and whole[1] in values and mode not in (Mode.TEXT, Mode.PATTERN):
        value = values[whole[1]]
        # An object from a server must not be read as a matcher.
        return {"$equals": value} if mode is Mode.EXPECTED and isinstance(value, dict | list) else value

    def text_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        value = values[match[1]]
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return re.escape(text) if mode is Mode.PATTERN else text

    return _IN_BRACES.sub(text_of, text)


def text_with_values(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with its names replaced."""
    return str(_string(text, Mode.TEXT, values))
