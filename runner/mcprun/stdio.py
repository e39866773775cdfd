"""The stdio transport: a server process that speaks MCP on its stdin and stdout, one message a line.

In place of the SDK's `stdio_client`, which reads lines without a bound, in quadratic time, and leaves whoever waits
for an answer that can't be read to its time-out. The streams and the order of shutting down are the SDK's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from mcp.client.stdio import get_default_environment

from mcprun.pipes import READ_BYTES, Incoming, Outgoing
from mcprun.serverlog import Stderr

_EXIT_SECONDS = 2.0
"""For each step of ending a server: stdin's end, SIGTERM, SIGKILL (MCP, "Lifecycle", "Shutdown")."""


@dataclass(frozen=True, slots=True)
class Stdio:
    """How to start a server. `env` comes on top of the SDK's bare default environment.

    `most` bounds one message, in bytes. `noise` is told of each line on stdout that is no message.
    """

    command: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None
    stderr: Stderr
    most: int
    noise: Callable[[str], None]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Incoming, Outgoing]]:
        """Start the server and give the streams of its messages; end it with the context.

        Raises `OSError` when it can't be started.
        """
        process = await self._start()
        self.stderr.hand_over()
        # From here to the context's end nothing is awaited: a cancellation in between would leave the process behind.
        assert process.stdin and process.stdout  # noqa: S101, PT018  they were asked for
        incoming = Incoming(process.stdout, self.most, self._tell_noise, self._tell_endless)
        outgoing = Outgoing(process.stdin, lambda: _signal(process, signal.SIGTERM))
        try:
            yield incoming, outgoing
        finally:
            with anyio.CancelScope(shield=True):
                await incoming.aclose()
                await outgoing.aclose()
                rest = asyncio.create_task(_drain(process.stdout))
                await _end(process)
                rest.cancel()

    async def _start(self) -> asyncio.subprocess.Process:
        """Start the process; when cancelled meanwhile, end it: asyncio would kill it, but not what it has started."""
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self.stderr.writer,
                env=get_default_environment() | dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
                limit=READ_BYTES,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await _end(await starting)
            raise

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


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to the process; SIGKILL goes to all that it has started as well."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            (os.killpg if number is signal.SIGKILL else os.kill)(process.pid, number)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process: ask by the end of its stdin, then by SIGTERM, then kill what it has started as well."""
    assert process.stdin  # noqa: S101  it was asked for
    process.stdin.close()
    # No `asyncio.timeout`: whoever waits here may be cancelled already, and before Python 3.11.4 that breaks it.
    over = asyncio.ensure_future(process.wait())
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number:
            _signal(process, number)
        await asyncio.wait({over}, timeout=_EXIT_SECONDS)
        if over.done():
            return
    over.cancel()
