"""A server's process: start it under the supervisor, with its pipes, and end it as MCP asks. Imports no SDK.

The first one of a run is started before the SDK is imported, which takes as long as many a server's start. None of this
is used on Windows, where the SDK starts servers (`client/transports/stdio.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Self

from mcprun._util import operating_system
from mcprun._util.operating_system import IS_WINDOWS, KILL, TERMINATE
from mcprun._util.tasks import wait_uninterrupted
from mcprun.client.server_log import ServerLog
from mcprun.client.target import StdioTarget, Target, has_folder
from mcprun.client.transports import supervisor

READ_BYTES = 262_144

_EXIT_SECONDS = 2.0
"""For each step of ending a server: stdin's end, SIGTERM, SIGKILL (MCP, "Lifecycle", "Shutdown")."""

_HURRIED_SECONDS = 0.25
"""From stdin's end to SIGTERM, after `hurry`."""

_INHERITED = (
    (
        "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE",
        "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
    )
    if sys.platform == "win32"
    else ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
)  # fmt: skip
"""What a server gets of this process's own variables: those that the SDK takes for safe."""


async def start(target: StdioTarget, stderr: int) -> Process:
    """Start a server whose stderr is a file descriptor; when cancelled meanwhile, end it.

    asyncio would kill it then, but not what it has started. Raises `OSError` when it can't be started, `ValueError`
    for a variable or an argument that no process can have.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *_supervised(target),
            *target.args,
            stdin=PIPE,
            stdout=PIPE,
            stderr=stderr,
            env=bare_environment() | dict(target.env),
            cwd=target.cwd,
            start_new_session=True,
            limit=READ_BYTES,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError, ValueError):
            await end(await starting)
        raise


def bare_environment() -> dict[str, str]:
    """Give the variables that every server gets; what is a shell's function is none of them."""
    known = {name: os.environ.get(name) for name in _INHERITED}
    return {name: value for name, value in known.items() if value is not None and not value.startswith("()")}


def send_signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to the process; `KILL` goes to all that it has started as well."""
    if process.returncode is None:
        operating_system.send_signal(process.pid, number)


def hurry() -> None:
    """Shorten the time that servers get to exit by themselves, since this process was asked to end at once."""
    _hurried.set()


_hurried = threading.Event()


async def end(process: Process) -> None:
    """End the process: ask by the end of its stdin, then by SIGTERM, then kill what it has started as well.

    When this is cancelled, it is done all the same before the cancellation goes on.
    """
    assert process.stdin  # noqa: S101  it was asked for
    process.stdin.close()
    # No `asyncio.timeout`: whoever waits here may be cancelled already, and before Python 3.11.4 that breaks it.
    over = asyncio.ensure_future(process.wait())
    cancelled = None
    for number in (None, TERMINATE, KILL):
        if number:
            send_signal(process, number)
        is_asked = number is None and _hurried.is_set()
        cancelled = await wait_uninterrupted({over}, _HURRIED_SECONDS if is_asked else _EXIT_SECONDS) or cancelled
        if over.done():
            break
    else:
        over.cancel()
    if cancelled:
        raise cancelled


def _supervised(target: StdioTarget) -> list[str]:
    """Give the command line that runs a target's command under the supervisor.

    Raises `FileNotFoundError` or `PermissionError`, as starting it without one would.
    """
    command, path = target.command, target.env.get("PATH")
    if target.cwd is not None:
        # As execvp(3) finds it there, `subprocess` and so the SDK; joining leaves alone what is absolute.
        path = os.environ.get("PATH", os.defpath) if path is None else path
        folder = Path(target.cwd).absolute()
        path = os.pathsep.join(str(folder / one) for one in path.split(os.pathsep))
        command = str(folder / command) if has_folder(command) else command
    found = shutil.which(command, path=path)
    if found is None:
        raise (PermissionError if Path(command).exists() else FileNotFoundError)(command)
    return [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), found]


class PrestartedServer:
    """The first server, started for whoever takes it later; ended with the context if nobody does.

    `stderr` is where it speaks, `since` (of `time.monotonic()`) and `offset` (in `server.log`) tell when that began. Of
    a target that is no command, or can't be started, there is none: who starts it for good is told why.
    """

    def __init__(self, target: Target, log: ServerLog) -> None:
        self.stderr = log.stderr()
        self.since, self.offset = time.monotonic(), log.offset
        self._target = target
        self._process: Process | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a process to take."""
        return self._process is not None

    def take(self) -> Process | None:
        """Hand the process on, and its stderr, to who ends both from now on."""
        process, self._process = self._process, None
        return process

    async def __aenter__(self) -> Self:
        if isinstance(self._target, StdioTarget) and not IS_WINDOWS:
            # What fails here fails again where it is told.
            with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
                stack.enter_context(self.stderr)
                self._process = await start(self._target, self.stderr.writer)
                self.stderr.hand_over()
                stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if process := self.take():
            await end(process)
            self.stderr.__exit__(kind, error, trace)
