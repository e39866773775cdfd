"""Run one MCP server, and end everything that it started: `python -I -S supervisor.py PARENT COMMAND [ARG ...]`.

mcprun, whose process id is PARENT, puts this process between itself and every server that it starts. It imports
nothing from mcprun and starts in about 10 ms. The server inherits its pipes. This process

- exits when the server does, with the server's exit code, and reports on stderr how the server ended;
- ends any process that the server leaves running, daemons included: on Linux they become this process's children
  (prctl(2), PR_SET_CHILD_SUBREAPER);
- ends the server when mcprun is gone, even after kill -9: on Linux the kernel then sends SIGTERM (PR_SET_PDEATHSIG);
  elsewhere the server has to notice the end of its stdin.

It runs on POSIX systems only. On Windows the MCP SDK starts servers, in a job object that ends with mcprun.
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
"""Time from SIGTERM to SIGKILL. The MCP SDK allows two seconds in all before it kills the process group."""

_POLL_SECONDS = 0.01

_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFSZ", "SIGXFZ")
"""Signals that CPython ignores at startup (`PyOS_InitSignals`), which the server would inherit through exec(2)."""


def main(mcprun: int, command: list[str]) -> int:
    """Run the command. Return its exit code, or 128 plus the number of the signal that killed it, as shells do."""
    if sys.platform == "win32":
        raise NotImplementedError
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # Block signals until `sigwait`, so that none arrives before it can be handled.
    waited_for = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    if os.getppid() != mcprun:  # mcprun was gone before PR_SET_PDEATHSIG was set
        return 128 + signal.SIGTERM
    server = _start(command)
    for pipe in (0, 1):  # only the server may hold them: their EOF shows each side that the other is gone
        os.close(pipe)
    status = None
    while status is None:
        number = signal.sigwait(waited_for)
        if number != signal.SIGCHLD:
            _terminate_descendants()
            break
        status = _reap(server)
    _terminate_descendants()
    if status is None:
        return 128 + signal.SIGTERM
    code = os.waitstatus_to_exitcode(status)
    print(f"[the server {_describe_exit(code)}]", file=sys.stderr, flush=True)
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
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # in case this process is killed
        for name in _IGNORED_BY_PYTHON:
            if number := getattr(signal, name, None):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(127)


def _reap(server: int) -> int | None:
    """Reap every child that has exited. Return the wait status of the server if it is among them."""
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


def _terminate_descendants() -> None:
    """End every descendant: send SIGTERM, and SIGKILL to those that still run after `GRACE_SECONDS`."""
    if sys.platform == "win32":
        raise NotImplementedError
    deadline = time.monotonic() + GRACE_SECONDS
    signalled: set[int] = set()
    while children := _children():
        is_late = time.monotonic() >= deadline
        for child in children:
            if is_late or child not in signalled:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL if is_late else signal.SIGTERM)
                signalled.add(child)
        time.sleep(_POLL_SECONDS)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _children() -> list[int]:
    """Return the process ids of the children. On Linux they include adopted orphans; elsewhere the list is empty."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:  # noqa: PTH123  no pathlib
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
