"""Put untrusted text into Markdown: it must not form markup, links or table cells."""

from __future__ import annotations

import string
from collections.abc import Iterable

from mcprun.report.text import one_line

_REFERENCES = str.maketrans({mark: f"&#{ord(mark)};" for mark in string.punctuation})


def cells(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def code(text: str, length: int) -> str:
    """Put text on one line of at most `length` characters, as code."""
    return f"<code>{plain(text, length)}</code>"


def plain(text: str, length: int) -> str:
    """Put text on one line of at most `length` characters, with all punctuation replaced by character references."""
    return one_line(text, length).translate(_REFERENCES)
