"""Detect JSON that is nested too deeply, and cut it off without losing the other items of a list. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from mcprun._util.json_text import levels
from mcprun._util.long_integers import integer

MAX_DEPTH = 200
"""The maximum levels of nesting that are sent. The SDKs' own serialisation fails at 255."""

TOO_DEEP = f"(nested more than {MAX_DEPTH} deep)"
"""Replaces a field of a list's item that is nested too deeply."""

_LISTS = ("tools", "prompts", "resources", "resourceTemplates")
_ABOVE = 4
"""Levels above the fields of an item: the message, its result, the list and the item."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parsed_leniently(text: str) -> Any:
    """Parse a server's JSON. An item of a list that is nested too deeply, such as a tool, does not affect the others.

    An integer with more digits than Python converts becomes a `LongInteger`. JSON that is nested too deeply is
    shortened by `cut_off`. Raises `ValueError` for invalid JSON.
    """
    try:
        value = json.loads(text, parse_int=integer)
        is_deep = levels(value) > MAX_DEPTH
    except RecursionError:
        is_deep = True
    if is_deep:
        value = json.loads(cut_off(text), parse_int=integer)
    return shallow_lists(value) if is_deep else value


def cut_off(text: str) -> str:
    """Replace lists and objects below level `MAX_DEPTH` + 1 of JSON text by `null`.

    The remaining text still counts as nested too deeply.
    """
    parts: list[str] = []
    level = start = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            level += 1
            if level == MAX_DEPTH + 2:
                parts += [text[start : token.start()], "null"]
        elif token[0] in "]}":
            if level == MAX_DEPTH + 2:
                start = token.end()
            level -= 1
    return "".join([*parts, text[start:]]) if parts else text


def shallow_lists(message: Any) -> Any:
    """Replace fields of list items that are nested too deeply by `TOO_DEEP` in a response.

    One bad tool then does not affect the others. Any other message is returned unchanged.
    """
    result = message.get("result") if isinstance(message, dict) else None
    if not isinstance(result, dict):
        return message
    lists = {key: [_shallow(item) for item in result[key]] for key in _LISTS if isinstance(result.get(key), list)}
    return {**message, "result": {**result, **lists}} if lists else message


def _shallow(item: Any) -> Any:
    if not isinstance(item, dict):
        return item if levels(item) <= MAX_DEPTH - _ABOVE else TOO_DEEP
    return {key: value if levels(value) <= MAX_DEPTH - _ABOVE else TOO_DEEP for key, value in item.items()}
