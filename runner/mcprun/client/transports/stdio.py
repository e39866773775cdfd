"""The stdio transport: a server process that speaks MCP on its stdin and stdout, one message per line.

It replaces the SDK's `stdio_client`, which reads lines without a bound and in quadratic time, and lets a request time
out if its response is invalid. The interface of the streams and the order of the shutdown are the SDK's. On Windows the
SDK's `stdio_client` is used nevertheless, because it keeps a server's processes in a job object.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from mcp import StdioServerParameters, stdio_client

from mcprun._util.operating_system import IS_WINDOWS
from mcprun._util.tasks import wait_uninterrupted
from mcprun.client.server_log import ServerStderr
from mcprun.client.target import StdioTarget
from mcprun.client.transports.pipes import StdinWriter, StdoutReader
from mcprun.client.transports.process import READ_BYTES, PrestartedServer, send_signal, shut_down, start

_HANGING_SECONDS = 1.5
"""A server that closed its stdout or stdin, and has not exited after this time, counts as still running."""


@dataclass(frozen=True, slots=True)
class StdioReports:
    """Callbacks of the transport.

    Args:
        noise: Called with each line on stdout that is not a message.
        hung_up: Called with the reason when a server closes stdin or stdout but keeps running.
        replaced: Called for each message in which half of a surrogate pair was replaced.
    """

    noise: Callable[[str], None] = lambda _: None
    hung_up: Callable[[str], None] = lambda _: None
    replaced: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Stdio:
    """How to start a server and connect to it.

    Args:
        target: The command and its environment.
        stderr: The server's stderr, whose context the caller has entered.
        max_bytes: The size limit of a message.
        reports: Callbacks for invalid output of the server.
        prestarted: A server for this target that may have been started already.
    """

    target: StdioTarget
    stderr: ServerStderr
    max_bytes: int
    reports: StdioReports = StdioReports()
    prestarted: PrestartedServer | None = None

    def open(self, *, is_windows: bool = IS_WINDOWS) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        """Return a context manager that starts the server, yields its message streams, and shuts it down.

        Entering it raises `OSError` if the server cannot be started.
        """
        return self._open_with_sdk() if is_windows else self._open()

    @asynccontextmanager
    async def _open_with_sdk(self) -> AsyncIterator[tuple[Any, Any]]:
        """Start the server with the SDK. Messages are unbounded, and other output on stdout goes to the SDK's log."""
        target = self.target
        server = StdioServerParameters(
            command=target.command,
            args=[*target.args],
            env=dict(target.env),
            cwd=target.cwd,
            encoding_error_handler="replace",
        )
        with os.fdopen(os.dup(self.stderr.writer), "w", encoding="utf-8") as errlog:
            async with stdio_client(server, errlog) as streams:
                self.stderr.close_writer()
                errlog.close()
                yield streams

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[StdoutReader, StdinWriter]]:
        process = (self.prestarted and self.prestarted.take()) or await start(self.target, self.stderr.writer)
        self.stderr.close_writer()
        # Nothing is awaited from here to the `try`: a cancellation in between would leak the process.
        assert process.stdin and process.stdout  # noqa: S101, PT018  `start` asks for the pipes
        incoming = StdoutReader(
            process.stdout, self.max_bytes, self._report_noise, self._report_endless_line, self.reports.replaced
        )
        timers: list[asyncio.TimerHandle] = []

        def on_stdin_closed() -> None:
            if not timers:  # an exiting server closes its stdin too
                timers.append(
                    asyncio.get_running_loop().call_later(_HANGING_SECONDS, self._terminate_unreachable, process)
                )

        outgoing = StdinWriter(process.stdin, on_stdin_closed)
        try:
            yield incoming, outgoing
        finally:
            with anyio.CancelScope(shield=True):
                await incoming.aclose()
                await outgoing.aclose()
                draining = asyncio.create_task(_drain(process.stdout))
                cancelled = await self._await_exit(process) if incoming.has_ended else None
                for timer in timers:
                    timer.cancel()
                await shut_down(process)
                draining.cancel()
                if cancelled:
                    raise cancelled

    async def _await_exit(self, process: Process) -> asyncio.CancelledError | None:
        """Wait for a server that has closed its stdout to exit, and report it if it keeps running.

        Return the cancellation that interrupted the wait, for the caller to raise once the server has been shut down.
        """
        exited = asyncio.ensure_future(process.wait())
        cancelled = await wait_uninterrupted({exited}, _HANGING_SECONDS)
        if not exited.done():
            exited.cancel()
            self._report_hang_up("stdout")
        return cancelled

    def _terminate_unreachable(self, process: Process) -> None:
        """End a server that closed its stdin but keeps running, and so cannot receive requests."""
        if process.returncode is None:
            self._report_hang_up("stdin")
            send_signal(process, signal.SIGTERM)

    def _report_hang_up(self, stream: str) -> None:
        reason = f"the server closed its {stream} but kept running"
        self.stderr.note(reason)
        self.reports.hung_up(reason)

    def _report_noise(self, line: bytes, why: str) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text:
            self.reports.noise(f"{why}: {text}" if text.startswith("{") else text)

    def _report_endless_line(self, length: int) -> None:
        self.stderr.note(f"the server wrote {length:,} bytes to stdout without a newline")


async def _drain(stdout: asyncio.StreamReader) -> None:
    """Discard further output, so that a server that is still writing can exit."""
    while await stdout.read(READ_BYTES):
        pass
