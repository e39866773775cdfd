"""The stdio transport: a server process that speaks MCP on its stdin and stdout, one message a line.

In place of the SDK's `stdio_client`, which reads lines without a bound, in quadratic time, and leaves whoever waits
for an answer that can't be read to its time-out. The streams and the order of shutting down are the SDK's. On Windows
the SDK's `stdio_client` is used all the same, since it keeps a server's processes in a job object.
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
from mcprun.client.transports.process import READ_BYTES, PrestartedServer, end, send_signal, start

_HANGING_SECONDS = 1.5
"""A server that closed its stdout or stdin and has not exited after this time counts as still running."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """How to start a server, whose stderr is that of this context. It may have been started `ahead`.

    `most` bounds one message, in bytes. `noise` is called with each line on stdout that is no message, `replaced` for
    each message with half of a surrogate pair, `hung_up` with the reason why the connection to a server ended
    that keeps running.
    """

    target: StdioTarget
    stderr: ServerStderr
    most: int
    noise: Callable[[str], None]
    hung_up: Callable[[str], None]
    ahead: PrestartedServer | None = None
    replaced: Callable[[], None] = lambda: None

    def open(self, *, is_windows: bool = IS_WINDOWS) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        """Start the server and return the streams of its messages; end it with the context.

        Raises `OSError` when it can't be started.
        """
        return self._open_with_sdk() if is_windows else self._open()

    @asynccontextmanager
    async def _open_with_sdk(self) -> AsyncIterator[tuple[Any, Any]]:
        """Start the server as the SDK does. A message has no bound, and what is not one goes to the SDK's log."""
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
                self.stderr.hand_over()
                errlog.close()
                yield streams

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[StdoutReader, StdinWriter]]:
        process = (self.ahead and self.ahead.take()) or await start(self.target, self.stderr.writer)
        self.stderr.hand_over()
        # From here to the context's end nothing is awaited: a cancellation in between would leave the process behind.
        assert process.stdin and process.stdout  # noqa: S101, PT018  they were asked for
        incoming = StdoutReader(process.stdout, self.most, self._tell_noise, self._tell_endless, self.replaced)
        deaf: list[asyncio.TimerHandle] = []

        def unheard() -> None:
            if not deaf:  # an exiting server closes its stdin too
                deaf.append(asyncio.get_running_loop().call_later(_HANGING_SECONDS, self._end_deaf, process))

        outgoing = StdinWriter(process.stdin, unheard)
        try:
            yield incoming, outgoing
        finally:
            with anyio.CancelScope(shield=True):
                await incoming.aclose()
                await outgoing.aclose()
                rest = asyncio.create_task(_drain(process.stdout))
                cancelled = await self._await_exit(process) if incoming.has_ended else None
                for timer in deaf:
                    timer.cancel()
                await end(process)
                rest.cancel()
                if cancelled:
                    raise cancelled

    async def _await_exit(self, process: Process) -> asyncio.CancelledError | None:
        """Wait for a server to exit that has closed its stdout; report it if it keeps running.

        Return the cancellation that interrupted the wait, for the caller to raise once the server has been ended.
        """
        exited = asyncio.ensure_future(process.wait())
        cancelled = await wait_uninterrupted({exited}, _HANGING_SECONDS)
        if not exited.done():
            exited.cancel()
            self._say_hung_up("stdout")
        return cancelled

    def _end_deaf(self, process: Process) -> None:
        """End a server that closed its stdin but keeps running: no request can reach it."""
        if process.returncode is None:
            self._say_hung_up("stdin")
            send_signal(process, signal.SIGTERM)

    def _say_hung_up(self, stream: str) -> None:
        reason = f"the server closed its {stream} but kept running"
        self.stderr.note(reason)
        self.hung_up(reason)

    def _tell_noise(self, line: bytes, why: str) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text:
            self.noise(f"{why}: {text}" if text.startswith("{") else text)

    def _tell_endless(self, length: int) -> None:
        self.stderr.note(f"the server printed {length:,} bytes on stdout without a line's end")


async def _drain(stdout: asyncio.StreamReader) -> None:
    """Read on, so that a server which is still writing is not kept from ending."""
    while await stdout.read(READ_BYTES):
        pass
