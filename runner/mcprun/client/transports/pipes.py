"""The two directions of a server's stdio, as the message streams that the SDK's client expects.

They replace the SDK's memory streams and the tasks that feed these: sending a message needs no task switch, and
messages that arrive together are delivered together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification

from mcprun._util.json_io import dumps
from mcprun.client.transports.framing import LineSplitter, LongLine, read_message
from mcprun.client.transports.process import READ_BYTES

_BATCH_LINES = 100
"""Lines that are read in a row before the event loop runs timers and other tasks."""


class _Stream:
    """Base of both directions: a context manager that closes the stream."""

    is_closed = False

    async def aclose(self) -> None:
        """Stop sending and receiving. The pipe itself belongs to the process."""
        self.is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class StdoutReader(_Stream):
    """The stream of messages from the server. `has_ended` is set when its stdout ends.

    Args:
        stdout: The server's stdout.
        max_bytes: The size limit of a message in bytes.
        noise: Called with each line that is not a message, and the reason.
        endless: Called with the bytes read so far of an endless line.
        replaced: Called for each message in which half of a surrogate pair was replaced.
    """

    def __init__(
        self,
        stdout: asyncio.StreamReader,
        max_bytes: int,
        noise: Callable[[bytes, str], None],
        endless: Callable[[int], None],
        replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self._stdout = stdout
        self._max_bytes = max_bytes
        self._noise = noise
        self._endless = endless
        self._replaced = replaced
        self._lines = LineSplitter(max_bytes)
        self._unread: Iterator[bytes | LongLine] | None = None
        self._messages: deque[SessionMessage | Exception] = deque()
        self._is_over = self.has_ended = False

    async def receive(self) -> SessionMessage | Exception:
        """Wait for the next message. Raises `anyio.EndOfStream` after the last one."""
        while not self._messages:
            if self.is_closed:
                raise anyio.ClosedResourceError
            if self._unread is not None:
                await self._read_on(self._unread)
            elif self._is_over:
                raise anyio.EndOfStream
            else:
                data = await self._stdout.read(READ_BYTES)
                self._is_over = self.has_ended = not data
                self._unread = self._lines.feed(data)
        return self._messages.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def _read_on(self, lines: Iterator[bytes | LongLine]) -> None:
        """Parse the next batch of lines. If a full batch holds no message, let other tasks run."""
        batch = list(islice(lines, _BATCH_LINES))
        for line in batch:
            try:
                self._messages.append(SessionMessage(read_message(line, self._max_bytes, self._replaced)))
            except ValueError as error:
                self._noise(line if isinstance(line, bytes) else line.head, str(error))
        if len(batch) == _BATCH_LINES:
            if not self._messages:
                await asyncio.sleep(0)
            return
        self._unread = None
        if self._lines.is_endless:
            self._endless(self._lines.pending)
            self._is_over = True


class StdinWriter(_Stream):
    """The stream of messages to the server.

    Messages sent in the same iteration of the event loop are written together, so that the server wakes up once.
    `on_closed` is called if the server has closed its stdin; it must end the server. `send` raises no error then:
    responses may still be in the pipe of stdout, whose end follows them and ends the connection.
    """

    def __init__(self, stdin: asyncio.StreamWriter, on_closed: Callable[[], None]) -> None:
        self._stdin = stdin
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._queued: list[bytes] = []

    async def send(self, message: SessionMessage) -> None:
        """Send a message, waiting while the pipe is full. Raises `anyio.ClosedResourceError` after `aclose`.

        Notifications do not wait. They are few, and most cancel a request whose deadline has passed.
        """
        if self.is_closed:
            raise anyio.ClosedResourceError
        try:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
        except ValueError:  # half of a surrogate pair
            text = dumps(message.message.model_dump(by_alias=True, mode="json", exclude_unset=True))
        if not self._queued:
            self._loop.call_soon(self._write)
        self._queued += text.encode(), b"\n"
        if isinstance(message.message, JSONRPCNotification):
            return
        try:
            await self._stdin.drain()
        except (ConnectionError, RuntimeError):
            self._on_closed()

    async def aclose(self) -> None:
        """Write the queued messages, and accept no more."""
        self._write()
        await super().aclose()

    def _write(self) -> None:
        if not self._queued:
            return
        queued, self._queued = self._queued, []
        try:
            self._stdin.writelines(queued)
        except (ConnectionError, RuntimeError):
            self._on_closed()
        else:
            if self._stdin.is_closing():
                self._on_closed()
