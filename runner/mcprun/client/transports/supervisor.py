"""Runs one MCP server and leaves nothing of it behind: `python -I -S supervisor.py PARENT COMMAND [ARG ...]`.

mcprun, whose process id is PARENT, puts this process between itself and every server that it starts. It imports
nothing of mcprun and starts in a hundredth of a second. The server speaks on the pipes it is handed, and this process

- ends with the server, with the server's own exit code, and says on stderr how it ended;
- ends what the server leaves running, daemons included: on Linux they become this process's children
  (prctl(2), PR_SET_CHILD_SUBREAPER);
- ends the server when mcprun is gone, even by kill -9: on Linux the kernel sends SIGTERM then (PR_SET_PDEATHSIG),
  elsewhere the end of the server's stdin has to do.

It is a program for POSIX systems; on Windows the MCP SDK starts servers, in a job object that ends with mcprun.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

GRACE_SECONDS = 1.0
"""From SIGTERM to SIGKILL. The MCP SDK gives two seconds to all of this before it kills the process group."""

_POLL_SECONDS = 0.01

_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ", "SIGXFZ")
"""Signals that CPython ignores at startup (`PyOS_InitSignals`), which the server would inherit through exec(2)."""


def main(mcprun: int, command: list[str]) -> int:
    """Run the command; give its exit code, 128 plus the signal's number where one killed it, as shells do."""
    if sys.platform == "win32":
        raise NotImplementedError
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # From here on a signal waits until this process looks for it, so that none comes before it can be answered.
    waited_for = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    if os.getppid() != mcprun:  # it was gone before the kernel was told to tell
        return 128 + signal.SIGTERM
    server = _start(command)
    for pipe in (0, 1):  # only the server may hold them: their end is how each side notices that the other is gone
        os.close(pipe)
    status = None
    while status is None:
        number = signal.sigwait(waited_for)
        if number != signal.SIGCHLD:
            _end_all()
            break
        status = _reap(server)
    _end_all()
    if status is None:
        return 128 + signal.SIGTERM
    code = os.waitstatus_to_exitcode(status)
    print(f"[the server {_told(code)}]", file=sys.stderr, flush=True)
    return code if code >= 0 else 128 - code


def _start(command: list[str]) -> int:
    """Start the server with the signal mask and dispositions that a shell would give it. Return its process id."""
    if sys.platform == "win32":
        raise NotImplementedError
    server = os.fork()
    if server:
        return server
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # this process may be killed as well
        for name in _IGNORED_BY_PYTHON:
            if number := getattr(signal, name, None):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)


def _reap(server: int) -> int | None:
    """Take the exit status of every child that has ended; give the server's when it is among them."""
    if sys.platform == "win32":
        raise NotImplementedError
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                break
            if process == server:
                found = status
    return found


def _end_all() -> None:
    """End every descendant: ask first, and kill what is still there when the time of grace is over."""
    if sys.platform == "win32":
        raise NotImplementedError
    deadline = time.monotonic() + GRACE_SECONDS
    asked: set[int] = set()
    while children := _children():
        late = time.monotonic() >= deadline
        for child in children:
            if late or child not in asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL if late else signal.SIGTERM)
                asked.add(child)
        time.sleep(_POLL_SECONDS)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> list[int]:
    """Name the children; on Linux those of processes that have ended are among them, elsewhere there is no telling."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123  no imports
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _told(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
