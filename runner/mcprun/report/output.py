"""Standard output and standard error of the command line.

Workflow commands for CI are broken up (`report/workflow_commands.py`). A closed pipe or terminal does not fail a
command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import IO, Any, cast

from mcprun.report.workflow_commands import Breaker, is_read

STDOUT = frozenset({"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
"""Names of standard output."""

_CLOSED_ERRORS = frozenset({errno.EPIPE, errno.EIO})
"""Errors of writing to a closed pipe or a closed terminal (tty_ioctl(4))."""


class _Output:
    """A wrapper around a text stream; `breaker` breaks up workflow commands in the text."""

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
    """Replace stdout and stderr. Characters that their encoding lacks are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  open until exit
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        if not isinstance(stream, _Output):
            setattr(sys, name, _Output(stream, Breaker() if is_read() else None))


def commands(*, is_stdout: bool) -> IO[str]:
    """Return the stream for mcprun's own workflow commands, which are not broken up."""
    stream = sys.stdout if is_stdout else sys.stderr
    return cast("IO[str]", _Output(stream.stream, None) if isinstance(stream, _Output) else stream)


def to_nowhere(stream: IO[Any], error: OSError) -> None:
    """Redirect a stream to the null device if `error` means that its reader is gone. Raise any other error."""
    if error.errno not in _CLOSED_ERRORS:
        raise error
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
