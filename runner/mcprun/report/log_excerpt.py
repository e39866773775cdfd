"""Find in a server's stderr what explains an error. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_CHARS = 4_000
"""Maximum number of characters of an excerpt."""

_TRACEBACK = re.compile(r"[\s|+-]*Traceback \(most recent call last\):")
"""The first line of a Python traceback, also within an exception group."""

_LEVEL = re.compile(r"\s*(?:\[[^\]]*\]\s+)?(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s")
"""The begin of a record of rich's handler of logging, which is indented if its time is that of the one before it."""

_CHAINED = re.compile(r"(?:During handling of|The above exception was)")
"""The line between the tracebacks of chained exceptions."""

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


@dataclass(frozen=True, slots=True)
class LogExcerpt:
    """The part of a server's stderr that belongs to a failed call of a query.

    `exception` is the line that names the exception, empty if there is none, and `text` the lines around it. `tool` and
    `call` are the call: its tool and its number, empty and None for a prompt or a resource. `others` is how many other
    calls ran meanwhile and may have written to `text`, 0 if the lines are known to belong to the call.
    """

    exception: str
    text: str
    tool: str = ""
    call: int | None = None
    others: int = 0


def belonging(text: str, *needles: Sequence[str]) -> str:
    """Return the entries of a log that contain a text of the first of `needles`, or else of the next; else nothing.

    Line breaks and indentation count as spaces. An entry begins with a line that is not indented, or with a level such
    as ERROR. A Python traceback ends with the line of its exception, and belongs to the line before it, unless another
    traceback ends there. Chained ones belong together.
    """
    entries = [(entry, " ".join(entry.split())) for entry in _entries(text.splitlines())]
    for texts in needles:
        wanted = "|".join(re.escape(found) for one in texts if (found := " ".join(one.split())))
        whole_words = re.compile(rf"(?<!\w)(?:{wanted})(?!\w)")
        if own := [entry for entry, line in entries if wanted and whole_words.search(line)]:
            return "\n".join(own)
    return ""


def shortened(text: str) -> str:
    """Return the end of a text, from a whole line on; of a long text with an exception, the part that ends with it."""
    exception = exception_line(text)
    end = text.rfind(exception) + len(exception) if exception and len(text) > _CHARS else len(text)
    part = text[max(0, end - _CHARS) : end]
    if end > _CHARS:
        part = part.partition("\n")[2] or part
    return part.rstrip()


def _entries(lines: Sequence[str]) -> Iterator[str]:
    entry: list[str] = []
    is_traceback = has_ended = False
    for line in lines:
        begins = bool(line.strip()) and (not line[0].isspace() or bool(_LEVEL.match(line)))
        is_first = bool(begins and _TRACEBACK.match(line))
        if begins and _CHAINED.match(line):
            has_ended = False
        elif begins and is_traceback and not is_first:
            is_traceback, has_ended = False, True  # the line of the exception
        elif begins and entry and (has_ended if is_first else not is_traceback):
            yield "\n".join(entry)
            entry, has_ended = [], False
        is_traceback = is_traceback or is_first
        entry.append(line)
    if entry:
        yield "\n".join(entry)
