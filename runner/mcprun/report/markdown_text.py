"""Put untrusted text into Markdown: it must not form markup, links, mentions or table cells."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mcprun.report.text import one_line

_ACTIVE = re.compile(
    r"""
    ^[!-/:-@\[-`{-~]                # at the start: a list, a heading, a table's delimiter, a quick action of GitLab
  | (?<=\d)[.)](?=\s|\Z)            # an ordered list
  | [!#$&*<>@\[\]\\^`{|}~]          # markup, mentions, references to issues
  | (?<![A-Za-z0-9])_ | _(?![A-Za-z0-9])                   # emphasis
  | \.(?=\S)(?<!\d\.) | (?<=\d)\.(?=[^\s\d])             # links without a scheme
  | :(?=\S)                          # links, emoji
  | %(?=[^\s),;])                    # references to milestones of GitLab
  | (?<=[A-Za-z])-(?=\d)             # GH-26
    """,
    re.VERBOSE,
)
"""Punctuation that has a meaning at its place in the dialects of GitHub and GitLab (https://github.github.com/gfm/)."""


def cells(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def code(text: str, length: int) -> str:
    """Put text on one line of at most `length` characters, as code."""
    return f"<code>{plain(text, length)}</code>"


def plain(text: str, length: int) -> str:
    """Put text on one line of at most `length` characters, with active punctuation replaced by character references.

    Other punctuation stays, so that sentences can be read before they are rendered.
    """
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", one_line(text, length))
