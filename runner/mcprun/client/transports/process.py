"""Start a server process under the supervisor, and shut it down as MCP prescribes. Does not import the SDK.

The first server of a run is started before the SDK is imported, because the import takes as long as many servers take
to start. On Windows nothing here is used: the SDK starts servers (`client/transports/stdio.py`).
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
from mcprun.client.scratch import scratch_folder
from mcprun.client.server_log import ServerLog
from mcprun.client.target import StdioTarget, Target, has_folder
from mcprun.client.transports import supervisor

READ_BYTES = 262_144

_EXIT_SECONDS = 2.0
"""Time limit of each step of a shutdown: end of stdin, SIGTERM, SIGKILL (MCP, "Lifecycle", "Shutdown")."""

_HURRIED_EXIT_SECONDS = 0.25
"""Time from the end of stdin to SIGTERM, once `hurry` was called."""

_INHERITED = (
    (
        "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROCESSOR_ARCHITECTURE", "SYSTEMDRIVE",
        "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
    )
    if sys.platform == "win32"
    else ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
)  # fmt: skip
"""Environment variables that a server inherits: those that the SDK considers safe."""


async def start(target: StdioTarget, stderr: int) -> Process:
    """Start a server with a file descriptor as its stderr. If cancelled meanwhile, shut it down.

    On cancellation, asyncio would kill the server but not the processes that it started. Raises `OSError` if the server
    cannot be started, and `ValueError` for an environment variable or an argument that no process can have.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *_supervised_command(target),
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
            await shut_down(await starting)
        raise


def bare_environment() -> dict[str, str]:
    """Return the environment variables that every server gets, without functions exported by a shell."""
    values = {name: os.environ.get(name) for name in _INHERITED}
    return {name: value for name, value in values.items() if value is not None and not value.startswith("()")}


def send_signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to a process, if it still runs. `KILL` also goes to the processes that it started."""
    if process.returncode is None:
        operating_system.send_signal(process.pid, number)


def hurry() -> None:
    """Shorten the time that servers get to exit by themselves, because mcprun was asked to stop at once."""
    _hurried.set()


_hurried = threading.Event()


async def shut_down(process: Process) -> None:
    """Shut a process down: close its stdin, then send SIGTERM, then kill it and the processes that it started.

    A cancellation is raised only once the process has been shut down.
    """
    assert process.stdin  # noqa: S101  `start` asks for the pipe
    process.stdin.close()
    # Not `asyncio.timeout`: before Python 3.11.4 it breaks if the waiting task is cancelled already.
    exited = asyncio.ensure_future(process.wait())
    cancelled = None
    for number in (None, TERMINATE, KILL):
        if number:
            send_signal(process, number)
        is_hurried = number is None and _hurried.is_set()
        cancelled = (
            await wait_uninterrupted({exited}, _HURRIED_EXIT_SECONDS if is_hurried else _EXIT_SECONDS) or cancelled
        )
        if exited.done():
            break
    else:
        exited.cancel()
    if cancelled:
        raise cancelled


def _supervised_command(target: StdioTarget) -> list[str]:
    """Return the command line that runs a target's command under the supervisor.

    Raises `FileNotFoundError` or `PermissionError`, as starting the command directly would.
    """
    command, path = target.command, target.env.get("PATH")
    if target.cwd is not None:
        # Resolve the command in `cwd`, as execvp(3), `subprocess` and the SDK do. Joining keeps absolute paths.
        path = os.environ.get("PATH", os.defpath) if path is None else path
        folder = Path(target.cwd).absolute()
        path = os.pathsep.join(str(folder / one) for one in path.split(os.pathsep))
        command = str(folder / command) if has_folder(command) else command
    found = shutil.which(command, path=path)
    if found is None:
        raise (PermissionError if Path(command).exists() else FileNotFoundError)(command)
    return [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), found]


class PrestartedServer:
    """The first server of a run, started before it is needed, and shut down with the context unless it was taken.

    `stderr` is its stderr; `since` (from `time.monotonic()`) and `offset` (into `server.log`) mark its start. There is
    no process if the target is not a command, or cannot be started: the later start reports the error.
    """

    def __init__(self, target: Target, log: ServerLog) -> None:
        self.stderr = log.stderr()
        self.since, self.offset = time.monotonic(), log.offset
        self._target = target
        self._scratch = contextlib.ExitStack()
        self._process: Process | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is a process to take."""
        return self._process is not None

    def take(self) -> Process | None:
        """Return the process, if there is one. The caller must end it, and close `stderr`."""
        process, self._process = self._process, None
        return process

    async def __aenter__(self) -> Self:
        if isinstance(self._target, StdioTarget) and not IS_WINDOWS:
            # The later start fails in the same way, and reports it.
            with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
                stack.enter_context(self.stderr)
                target = self._scratch.enter_context(scratch_folder(self._target))
                self._process = await start(target, self.stderr.writer)
                self.stderr.close_writer()
                stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if process := self.take():
            await shut_down(process)
            self.stderr.__exit__(kind, error, trace)
        self._scratch.close()  # also that of a server that was taken, which has been shut down by now
