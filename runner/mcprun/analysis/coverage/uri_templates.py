"""Match URIs against the URI templates of resources (RFC 6570), as servers do. Pure.

RFC 6570 defines how a template is expanded and not how a URI is matched, so servers differ. The rules here are those
that most servers share, and generous beyond: `{id}` is one or more characters without a slash, `{+path}` and `{path*}`
are one or more of any, and expressions with another operator, such as `{?page,size}`, may be absent. A template is text
of the server, so matching takes no more than the product of the lengths, and a long template or URI matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_MAX_CHARS = 2_000
"""Maximum characters of a template and of a URI."""

_MAX_EXPRESSIONS = 50
"""Maximum expressions of a template."""

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_OPTIONAL = "#./;?&"
"""Operators whose expressions expand to nothing if their variables are undefined, and else begin with the operator."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a template: a literal text, or an expression that stands for any text.

    Attributes:
        text: The literal text, or the operator that the expansion begins with.
        is_expression: Whether more characters follow the text.
        is_optional: Whether the whole part may be absent.
        has_slashes: Whether these characters may contain a slash.
    """

    text: str
    is_expression: bool = False
    is_optional: bool = False
    has_slashes: bool = True

    def ends(self, uri: str, starts: set[int]) -> set[int]:
        """Return where the part may end in a URI, if it begins at one of the `starts`."""
        begun = {start + len(self.text) for start in starts if uri.startswith(self.text, start)}
        if not self.is_expression:
            return begun
        found = set(starts) if self.is_optional else set[int]()
        end = 0
        for start in sorted(begun):
            stop = len(uri) if self.has_slashes else _index(uri, "/", start)
            found.update(range(max(start + (not self.is_optional), end), stop + 1))
            end = max(end, stop + 1)
        return found


def matches(template: str, uri: str) -> bool:
    """Return whether a URI may be an expansion of a template."""
    if len(template) > _MAX_CHARS or len(uri) > _MAX_CHARS:
        return False
    places = {0}
    for part in _parts(template):
        places = part.ends(uri, places)
        if not places:
            return False
    return len(uri) in places


@lru_cache(maxsize=1_000)
def _parts(template: str) -> tuple[_Part, ...]:
    parts = tuple(_read(template))
    return parts if sum(part.is_expression for part in parts) <= _MAX_EXPRESSIONS else (_Part(template),)


def _read(template: str) -> Iterator[_Part]:
    end = 0
    for found in _EXPRESSION.finditer(template):
        yield _Part(template[end : found.start()])
        end = found.end()
        expression = found[1]
        operator = expression[:1]
        if operator in _OPTIONAL and operator:
            yield _Part(operator, is_expression=True, is_optional=True)
        else:
            yield _Part("", is_expression=True, has_slashes=operator == "+" or "*" in expression)
    yield _Part(template[end:])


def _index(text: str, character: str, start: int) -> int:
    """Return the index of the next character, or the length of the text if there is none."""
    found = text.find(character, start)
    return len(text) if found < 0 else found
