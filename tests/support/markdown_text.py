"""Parse Markdown into tokens, for tests of what a report's Markdown renders as."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.token import Token


def tokens(text: str) -> list[Token]:
    """Parse CommonMark with tables; return all tokens, inline ones included."""
    result: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        result += [token, *(token.children or [])]
    return result
