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
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage

from mcprun.serverlog import Stderr
from mcprun.wire import Lines, read_message

_READ_BYTES = 262_144

_ENDLESS = 20
"""A line that goes on for so many times the bound has no end: the connection is of no more use to anybody."""

_EXIT_SECONDS = 2.0
"""For each step of ending a server: stdin's end, SIGTERM, SIGKILL (MCP, "Lifecycle", "Shutdown")."""

Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


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
    async def open(self) -> AsyncIterator[Streams]:
        """Start the server and give the streams of its messages; end it with the context.

        Raises `OSError` when it can't be started.
        """
        process = await self._start()
        self.stderr.hand_over()
        # From here to the task group nothing is awaited: a cancellation in between would leave the process behind.
        from_server, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        sent, to_server = anyio.create_memory_object_stream[SessionMessage](0)
        async with anyio.create_task_group() as group:
            group.start_soon(self._read, process, from_server)
            group.start_soon(_write, process, to_server)
            try:
                yield received, sent
            finally:
                with anyio.CancelScope(shield=True):
                    received.close()
                    sent.close()
                    await _end(process)
                group.cancel_scope.cancel()

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
                limit=_READ_BYTES,
            )
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                await _end(await starting)
            raise

    async def _read(
        self, process: asyncio.subprocess.Process, messages: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        """Hand on what the server says, until its stdout ends. When nobody listens any more, let it speak on."""
        assert process.stdout  # noqa: S101  it was asked for
        lines = Lines(self.most)
        async with messages:
            while data := await process.stdout.read(_READ_BYTES):
                for line in lines.feed(data):
                    try:
                        await messages.send(SessionMessage(read_message(line, self.most)))
                    except ValueError as error:
                        self._tell_noise(line if isinstance(line, bytes) else line.head, str(error))
                    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                        await _drain(process.stdout)
                        return
                if lines.pending > _ENDLESS * self.most:
                    self.stderr.note(f"the server printed {lines.pending:,} bytes on stdout without a line's end")
                    break
        await _drain(process.stdout)

    def _tell_noise(self, line: bytes, why: str) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text:
            self.noise(f"{why}: {text}" if text.startswith("{") else text)


async def _drain(stdout: asyncio.StreamReader) -> None:
    """Read on, so that a server which is still writing is not kept from ending."""
    while await stdout.read(_READ_BYTES):
        pass


async def _write(process: asyncio.subprocess.Process, messages: MemoryObjectReceiveStream[SessionMessage]) -> None:
    """Hand on what the client says.

    A server that does not listen is as good as ended, and is made to. What it said before is still read, and until
    then nobody is told: its answers may stand in the pipe, and the end of its stdout comes behind them.
    """
    assert process.stdin  # noqa: S101  it was asked for
    async with messages:
        async for message in messages:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
            try:
                process.stdin.write(text.encode() + b"\n")
                await process.stdin.drain()
            except (ConnectionError, RuntimeError):
                _signal(process, signal.SIGTERM)


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
