"""Find the words in which two similar lines differ. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcprun._util.alignment import Alignment

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Letters of languages that are written without spaces."""

_ESCAPE = r"\\(?:u[0-9a-f]{4}|[\"\\/bfnrt])"
"""An escape of JSON."""

_TOKEN = re.compile(rf"{_ESCAPE}|[{_IDEOGRAPH}]|\d+(?:[.,:]\d+)*|(?:[^\W\d{_IDEOGRAPH}]|[^\x00-\x7f\s\w])+|\s+|[^\w\s]")
"""A number, a word with its combining marks, a run of symbols such as a joined emoji, spaces, or a punctuation mark."""

_MAX_CHARS = 4_000
"""Maximum length of a line that is compared by word."""

_LEAST_SHARED = 0.25
"""Minimum share of equal characters: two lines that share less are simply different."""

Segments = list[str]
"""The parts of a line: equal, different, equal, and so on. The first may be empty."""


def word_marks(before: str, after: str) -> tuple[Segments, Segments] | None:
    """Split two lines into the parts that they share and those that differ. Return None if they share little."""
    if max(len(before), len(after)) > _MAX_CHARS:
        return None
    tokens = _TOKEN.findall(before), _TOKEN.findall(after)
    sides: tuple[Segments, Segments] = ([""], [""])
    shared = 0
    blocks = Alignment(*tokens).get_opcodes()
    for at, (tag, i, j, k, n) in enumerate(blocks):
        texts = "".join(tokens[0][i:j]), "".join(tokens[1][k:n])
        is_equal = tag == "equal" and not (_is_slight(tokens[0][i:j]) and 0 < at < len(blocks) - 1)
        shared += len(texts[0].strip()) if is_equal else 0
        for side, text in zip(sides, texts, strict=True):
            if is_equal == len(side) % 2:
                side[-1] += text
            else:
                side.append(text)
    longest = max(len(before.strip()), len(after.strip()))
    return sides if longest and shared >= _LEAST_SHARED * longest else None


def _is_slight(tokens: Sequence[str]) -> bool:
    """Return whether an equal part between two that differ is too slight to be one: no letter and no digit."""
    return not any(character.isalnum() for token in tokens for character in token)
