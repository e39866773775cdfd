"""Leave out a change of a result's text that only repeats a change of its structured content. Pure.

MCP lets a server return the same data as structured content and as text, for older clients. If the text is not the
JSON of the structured content, such as "5 apples" beside `{"apples": 5}`, a change appears in both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from mcprun._util.alignment import MAX_EXACT, Alignment
from mcprun._util.json_value import JsonObject, json_same, key_of
from mcprun.analysis.diff.values import ABSENT, ValueDifference, value_differences

_BOTH = {"content", "structured"}
"""The keys of a result whose text and structured content are compared separately (`transcripts.result_of`)."""

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")

_MAX_CHARS = 100_000
"""Maximum length of a text that is compared word by word."""

_MAX_DIFFERENCES = 1_000
"""Maximum number of differences of the structured content that are sought in a text."""


def without_repeated_text(before: Any, after: Any) -> tuple[Any, Any]:
    """Return two results without their text if its change only repeats that of their structured content."""
    if not (_has_both(before) and _has_both(after)) or json_same(before["content"], after["content"]):
        return before, after
    differences = list(value_differences(before["structured"], after["structured"]))
    if not 0 < len(differences) <= _MAX_DIFFERENCES or not _is_repeated(before, after, differences):
        return before, after
    return {"structured": before["structured"]}, {"structured": after["structured"]}


def _has_both(result: Any) -> bool:
    return isinstance(result, dict) and result.keys() == _BOTH


def _is_repeated(before: JsonObject, after: JsonObject, structured: list[ValueDifference]) -> bool:
    """Return whether every difference of the contents is one of the structured content."""
    known = Counter(map(_key, structured))
    for difference in value_differences(before["content"], after["content"]):
        texts = difference.before, difference.after
        if known[_key(difference)]:
            continue
        if not (isinstance(texts[0], str) and isinstance(texts[1], str) and _tells(texts, structured)):
            return False
    return True


def _key(difference: ValueDifference) -> tuple[str | None, str | None]:
    sides = difference.before, difference.after
    before, after = (None if value is ABSENT else key_of(value) for value in sides)
    return before, after


def _tells(texts: tuple[str, str], structured: Iterable[ValueDifference]) -> bool:
    """Return whether two texts differ only in words of the values that differ.

    Of each passage that differs, at least one word must be of such a value. The others may be words that both have.
    """
    if max(map(len, texts)) > _MAX_CHARS:
        return False
    tokens = [_TOKEN.findall(text) for text in texts]
    if max(map(len, tokens)) > MAX_EXACT:
        return False
    changed: tuple[set[str], set[str]] = (set(), set())
    for difference in structured:
        for words, value in zip(changed, (difference.before, difference.after), strict=True):
            words.update(_words(value))
    shared = {*tokens[0]} & {*tokens[1]}
    for tag, i, j, k, n in Alignment(*tokens).get_opcodes():
        if tag == "equal":
            continue
        found = [{*filter(_WORD.fullmatch, passage)} for passage in (tokens[0][i:j], tokens[1][k:n])]
        if not any(found):
            return False
        for words, one in zip(changed, found, strict=True):
            if not one <= words | shared or (one and not one & words):
                return False
    return True


def _words(value: Any) -> Iterator[str]:
    """Yield the words of the keys and values of a JSON value."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, list):
            todo += one
        elif one is not ABSENT:
            yield from _WORD.findall(one if isinstance(one, str) else key_of(one))
