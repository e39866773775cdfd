"""Open files that a user names without blocking forever: regular files, pipes with another end, terminals.

Opening a pipe blocks until another process opens it for writing (fifo(7)), and a device such as /dev/zero never ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path
from typing import IO

from mcprun.errors import UsageError

PIPE_SECONDS = 5.0
"""Seconds to wait for a pipe's writer. A shell's process substitution has one before the command starts."""

_DEVICES = ("/dev", "/proc")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  a folder of regular files


def kind_of(mode: int) -> str:
    """Return the type of a file from its `st_mode`, such as `a pipe`; empty for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    names = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")


def refuse_special(path: Path) -> None:
    """Raise `UsageError` if a path exists and is neither a regular file nor a link to one. Nothing is opened."""
    try:
        kind = kind_of(path.stat().st_mode)
    except OSError:
        return
    if kind:
        raise UsageError(f"{path} is {kind}, not a regular file")


def refuse_to_replace(path: Path) -> None:
    """Raise `UsageError` if a path must not be replaced by a new file: a folder, a pipe, a device, anything in /dev.

    Users' links are replaced. Links in /dev and /proc, such as /dev/stdout, belong to the system.
    """
    folder = Path(os.path.realpath(path.parent))
    if any(folder.is_relative_to(place) for place in _DEVICES) and not folder.is_relative_to(_SHARED_MEMORY):
        raise UsageError(f"can't create {path}: {folder} is a system folder")
    refuse_special(path)


def open_device(path: Path) -> IO[bytes] | None:
    """Open a character device such as /dev/null, or a pipe, for writing. Return None for any other path.

    Raises `OSError` as `open` does, and `UsageError` for a pipe that no process reads.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if stat.S_ISFIFO(mode):
        try:
            probe = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise UsageError(f"{path} is a pipe that no process reads") from None
            raise
        try:
            return path.open("wb")
        finally:
            os.close(probe)
    return path.open("ab") if stat.S_ISCHR(mode) else None


def open_input(path: Path) -> IO[bytes]:
    """Open a file for reading: a regular file, a terminal, or a pipe that gets a writer within `PIPE_SECONDS`.

    Raises `OSError` as `open` does, and `UsageError` for a pipe without a writer, a folder, a socket or another device.
    """
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):
        return _open_pipe(path)
    if not (kind := kind_of(mode)):
        return path.open("rb")
    if stat.S_ISCHR(mode):
        stream = path.open("rb")
        if stream.isatty():
            return stream
        stream.close()
    raise UsageError(f"{path} is {kind}, not a regular file")


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Read a whole text file. Raises the errors of `open_input`, and `UnicodeDecodeError`."""
    with open_input(path) as stream:
        return stream.read().decode(encoding)


def _open_pipe(path: Path) -> IO[bytes]:
    """Open a pipe in a thread that can be abandoned: `O_NONBLOCK` would not wait for a writer."""
    opened: list[IO[bytes] | OSError] = []

    def wait() -> None:
        try:
            opened.append(path.open("rb"))
        except OSError as error:
            opened.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(PIPE_SECONDS)
    is_late = not opened
    if is_late:
        with contextlib.suppress(OSError):  # a short-lived writer unblocks the thread
            os.close(os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)))
        thread.join(PIPE_SECONDS)
    stream = opened[0] if opened else None
    if isinstance(stream, OSError):
        raise stream
    if is_late or stream is None:
        if stream:
            stream.close()
        raise UsageError(f"{path} is a pipe that no process writes to")
    return stream
