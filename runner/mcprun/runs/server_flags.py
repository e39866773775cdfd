"""The flags of a run's recorded arguments that say how its server is started and its results are compared.

Commands that are printed to run queries again repeat them: after `bless`, and in reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mcprun.errors import REDACTED

_FLAGS = ("python", "cwd", "protocol", "elicit", "servers", "concurrency")
_SWITCHES = ("fresh_server", "scratch", "read_only", "allow_tool_errors")
_LISTS = {
    "env": "env", "env_files": "env-file", "roots": "root", "scrub": "scrub", "ignore": "ignore",
    "ignore_order": "ignore-order",
}  # fmt: skip
"""Recorded arguments by their form: those with a value, switches, and lists."""


def server_flags(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of the flags, not quoted. Of a variable, only the name is given.

    A value that contains a secret is named in capitals.
    """
    for name in _SWITCHES:
        if arguments.get(name) is True:
            yield f"--{name.replace('_', '-')}"
    for name in _FLAGS:
        if name in arguments:
            yield from (f"--{name.replace('_', '-')}", word_or(arguments[name], name.upper()))
    for name, flag in _LISTS.items():
        for value in arguments.get(name) or ():
            yield from (f"--{flag}", word_or(str(value).removesuffix(f"={REDACTED}"), flag.upper()))


def word_or(value: Any, placeholder: str) -> str:
    """Return a value as text, or the placeholder if there is none or it contains a secret."""
    return placeholder if value is None or REDACTED in str(value) else str(value)
