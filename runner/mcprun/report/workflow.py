"""The log of a GitHub Actions workflow, into which text of strangers must write no commands.

The runner (actions/runner, `ActionCommand.cs`) reads both streams of a step. It takes `::name …::` at the beginning of
a line, spaces before it or not, and the older `##[name …]` anywhere in it.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Mapping
from typing import IO, cast

_COMMAND = re.compile(r"(?m)^(\s*):(?=:)|#(?=#\[)")


def is_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this is a step of a GitHub Actions workflow."""
    return environment.get("GITHUB_ACTIONS") == "true"


def without_commands(text: str) -> str:
    """Break up what the runner would take for a command, by a space: `: :error::…`, `# #[error]…`."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)


class _Quieted(io.TextIOBase):
    """A stream whose lines are never commands. Whoever writes begins each write with a new line, as rich does."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(without_commands(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a TextIOBase may have none
        return sys.stdout.encoding


def quieted(stream: IO[str]) -> IO[str]:
    """Give a stream for text of strangers: in a step of a workflow, one whose lines are never commands."""
    return cast("IO[str]", _Quieted(stream)) if is_on() else stream
