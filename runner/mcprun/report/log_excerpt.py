"""Find in a server's stderr what explains an error. Pure."""

from __future__ import annotations

import re

_TRACEBACK = re.compile(r"[\s|+-]*Traceback \(most recent call last\):")
"""The first line of a Python traceback, also within an exception group."""

_MARGIN = " |+-"
"""Characters before the lines of a traceback in an exception group."""

_EXCEPTION = re.compile(
    r"\s*(?:Uncaught |Unhandled |panic: |fatal error: |[\w.$]*(?:Error|Exception)\b(?:\s*\[\w+\])?:)"
)
"""A line that begins with the name of an exception, or of Go's panic."""


def exception_line(log: str) -> str:
    """Return the line that names the last exception, without its indentation; empty if there is none."""
    lines = log.splitlines()
    start = next((at for at in reversed(range(len(lines))) if _TRACEBACK.match(lines[at])), None)
    if start is not None:
        margin = len(lines[start]) - len(lines[start].lstrip(_MARGIN))
        inner = (line[margin:] for line in lines[start + 1 :])
        if found := next((line for line in inner if line.strip(_MARGIN) and not line.startswith(" ")), None):
            return found.strip()
    return next((line.strip() for line in reversed(lines) if _EXCEPTION.match(line)), "")
