"""Distinguish regular expressions that spell out a value (`hunter2`) from those that describe a form (`sk-[a-z]+`).

A pattern of `--redact` that spells out a value may be the secret itself. One that describes a form can be shown, and
stored for resuming the run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mcprun.errors import REDACTED

_TOKEN = re.compile(
    r"""
    (?P<shorthand>\\[dDwWsS]) | (?P<escape>\\.)
    | (?P<class>\[\^?\]?(?:\\.|[^\]\\])*\])
    | (?P<flags>\(\?[a-zA-Z-]+\)) | (?P<open>\((?:\?(?:[:=!>]|<[=!]|P?<\w+>|[a-zA-Z-]+:))?) | (?P<close>\))
    | (?P<repeat>[*+]|\{\d*(?:,\d*)?\}) | (?P<bar>\|) | (?P<dot>\.) | (?P<optional>\?) | (?P<anchor>[\^$])
    """,
    re.VERBOSE | re.DOTALL,
)

_LEAST = 6
"""Minimum characters of one of several alternatives to be treated as a secret, the same as for all secrets."""

_FEW = 2
"""Maximum characters of a class that only varies a letter, such as `[Hh]`."""


@dataclass
class _Branch:
    """One alternative: whether it describes a form, the number of its own and of nested characters, and its groups."""

    is_form: bool = False
    characters: int = 0
    nested: int = 0
    groups: list[list[_Branch]] = field(default_factory=list)


def spells_out(pattern: str) -> bool:
    """Return whether a pattern, or one of its alternatives, spells out the few texts that it matches."""
    branches = list(_alternatives(_parsed(pattern)))
    least = _LEAST if len(branches) > 1 else 0
    return any(not branch.is_form and branch.characters + branch.nested >= least for branch in branches)


def shown_pattern(pattern: str) -> str:
    """Return a pattern for files and messages, redacted if it spells out a value."""
    return REDACTED if spells_out(pattern) else pattern


def _alternatives(branches: list[_Branch]) -> Iterator[_Branch]:
    """Yield the alternatives of a pattern, including those in a group around all of it, as in `^(?:a|b)$`."""
    for branch in branches:
        if not branch.characters and len(branch.groups) == 1:
            yield from _alternatives(branch.groups[0])
        else:
            yield branch


def _parsed(pattern: str) -> list[_Branch]:
    """Split a valid pattern into its alternatives."""
    stack = [[_Branch()]]
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        at = token.end() if token else at + 1
        branch = stack[-1][-1]
        match token.lastgroup if token else "literal":
            case "open":
                stack.append([_Branch()])
            case "close" if len(stack) > 1:
                group = stack.pop()
                outer = stack[-1][-1]
                outer.groups.append(group)
                outer.is_form |= all(one.is_form for one in group)
                outer.nested += max(one.characters + one.nested for one in group)
            case "bar":
                stack[-1].append(_Branch())
            case "repeat":
                branch.is_form = True
            case "shorthand" | "dot":
                branch.is_form = True
                branch.characters += 1
            case "class":
                branch.is_form |= _is_open(token[0][1:-1] if token else "")
                branch.characters += 1
            case "literal" | "escape":
                branch.characters += 1
    return stack[0]


def _is_open(members: str) -> bool:
    """Return whether a class is negated, or holds a range, a shorthand or more than `_FEW` members."""
    count = len(re.sub(r"\\.", "x", members))
    return members.startswith("^") or "-" in members[1:-1] or bool(re.search(r"\\[dDwWsS]", members)) or count > _FEW
