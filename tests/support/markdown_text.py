"""Split Markdown into the tokens that a renderer sees."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.token import Token


def tokens(text: str) -> list[Token]:
    """Read Markdown as GitHub does, tables included, and give all that stands in it."""
    found: list[Token] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        found += [token, *(token.children or [])]
    return found
