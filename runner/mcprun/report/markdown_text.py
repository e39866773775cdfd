"""Put untrusted text into Markdown: it must not form markup, links, mentions or table cells."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mcprun.report.text import one_line

_ACTIVE = re.compile(
    r"""
    [!#$&*<>@\[\]\\^`{|}~]                                      # markup, mentions, references to issues
  | (?<![A-Za-z0-9])_ | _(?![A-Za-z0-9])                        # emphasis
  | \.(?=\S)(?<!\d\.) | (?<=\d)\.(?=[^\s\d])                    # links without a scheme
  | :(?=\S)                                                     # links, emoji
  | %(?=[^\s),;])                                               # references to milestones of GitLab
  | (?<=[A-Za-z])-(?=\d)                                        # GH-26
    """,
    re.VERBOSE,
)
"""Punctuation that has a meaning at its place in the dialects of GitHub and GitLab (https://github.github.com/gfm/)."""

_AT_START = re.compile(r"[!-/:-@\[-`{-~]|\d{1,9}[.)](?=\s|\Z)")
"""What has a meaning at the start of a line or a cell: marks of lists and headings, quick actions of GitLab."""


def cells(cells: Iterable[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def code(text: str, length: int) -> str:
    """Put text on one line of at most `length` characters, as code."""
    return f"<code>{_escaped(one_line(text, length))}</code>"


def plain(text: str, length: int) -> str:
    """Put text on one line of at most `length` characters, with active punctuation replaced by character references.

    Other punctuation stays, so that sentences can be read before they are rendered.
    """
    line = one_line(text, length)
    start = _AT_START.match(line)
    if start is None:
        return _escaped(line)
    return f"{start[0][:-1]}{_reference(start[0][-1])}{_escaped(line[start.end() :])}"


def _escaped(line: str) -> str:
    return _ACTIVE.sub(lambda found: _reference(found[0]), line)


def _reference(character: str) -> str:
    return f"&#{ord(character)};"
