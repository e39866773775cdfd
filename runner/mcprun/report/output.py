"""Standard output and standard error, as the command line writes to them.

Nothing in them is a command to a CI job (`workflow.py`), and a reader that is gone, such as a closed terminal, fails no
command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import IO, Any, cast

from mcprun.report.workflow import Breaker, is_read

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""Errors of a closed pipe, and of a terminal that was closed (tty_ioctl(4))."""


class _Output:
    """A text stream that takes the place of another; `breaker` breaks up commands in what is written."""

    def __init__(self, stream: IO[str], breaker: Breaker | None) -> None:
        self.stream = stream
        self._breaker = breaker

    def write(self, text: str) -> int:
        try:
            self.stream.write(self._breaker.take(text) if self._breaker else text)
        except OSError as error:
            to_nowhere(self.stream, error)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self.write("".join(lines))

    def flush(self) -> None:
        try:
            self.stream.flush()
        except OSError as error:
            to_nowhere(self.stream, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def install() -> None:
    """Write to stdout and stderr this way from now on. What their encoding cannot show is escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  as long as the process
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        if not isinstance(stream, _Output):
            setattr(sys, name, _Output(stream, Breaker() if is_read() else None))


def commands(*, is_stdout: bool) -> IO[str]:
    """Return the stream that our own commands to a workflow are written to."""
    stream = sys.stdout if is_stdout else sys.stderr
    return cast("IO[str]", _Output(stream.stream, None) if isinstance(stream, _Output) else stream)


def to_nowhere(stream: IO[Any], error: OSError) -> None:
    """Discard what is written to a stream from now on, since its reader is gone. Raises any other error again."""
    if error.errno not in _GONE:
        raise error
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
