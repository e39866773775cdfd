"""The two directions of a server's stdio, as the streams that the SDK's client speaks to.

They do the work of the SDK's memory streams and the tasks behind them where it is asked for: a message costs no switch
of tasks on its way out, and those that came together are handed on together.
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

_ENDLESS = 20
"""A line that goes on for so many times the bound has no end: the connection is of no more use to anybody."""

_TURN = 100
"""Lines that are read in a row before the event loop runs its timers and other tasks."""


class _Stream:
    """What both directions share: whoever leaves the context closes it."""

    is_closed = False

    async def aclose(self) -> None:
        """Take and give nothing more. The pipe itself is the process's."""
        self.is_closed = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class StdoutReader(_Stream):
    """What the server says, until its stdout ends: `has_ended`. `most` bounds a message, in bytes.

    `noise` is called with each line that is no message, and why; `endless` with the length of a line that never ends;
    `replaced` for each message with half of a surrogate pair.
    """

    def __init__(
        self,
        stdout: asyncio.StreamReader,
        most: int,
        noise: Callable[[bytes, str], None],
        endless: Callable[[int], None],
        replaced: Callable[[], None] = lambda: None,
    ) -> None:
        self._stdout = stdout
        self._most = most
        self._noise = noise
        self._endless = endless
        self._replaced = replaced
        self._lines = LineSplitter(most)
        self._unread: Iterator[bytes | LongLine] | None = None
        self._messages: deque[SessionMessage | Exception] = deque()
        self._is_over = self.has_ended = False

    async def receive(self) -> SessionMessage | Exception:
        """Wait for the next message. Raises `anyio.EndOfStream` when there is none."""
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
        """Read the next lines. If none of them is a message, let other tasks run."""
        taken = list(islice(lines, _TURN))
        for line in taken:
            try:
                self._messages.append(SessionMessage(read_message(line, self._most, self._replaced)))
            except ValueError as error:
                self._noise(line if isinstance(line, bytes) else line.head, str(error))
        if len(taken) == _TURN:
            if not self._messages:
                await asyncio.sleep(0)
            return
        self._unread = None
        if self._lines.pending > _ENDLESS * self._most:
            self._endless(self._lines.pending)
            self._is_over = True


class StdinWriter(_Stream):
    """What the client says. Messages of the same turn of the event loop are written together: one wakes the server.

    A server that does not listen is as good as ended, and is made to, by `deaf`. What it said before is still read,
    and until then nobody is told: its answers may stand in the pipe, and the end of its stdout comes behind them.
    """

    def __init__(self, stdin: asyncio.StreamWriter, deaf: Callable[[], None]) -> None:
        self._stdin = stdin
        self._deaf = deaf
        self._loop = asyncio.get_running_loop()
        self._said: list[bytes] = []

    async def send(self, message: SessionMessage) -> None:
        """Send a message; wait while the pipe is full. Raises `anyio.ClosedResourceError`.

        Notifications don't wait. They are few, and most cancel a request whose deadline has passed.
        """
        if self.is_closed:
            raise anyio.ClosedResourceError
        try:
            text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
        except ValueError:  # half of a surrogate pair
            text = dumps(message.message.model_dump(by_alias=True, mode="json", exclude_unset=True))
        if not self._said:
            self._loop.call_soon(self._write)
        self._said += text.encode(), b"\n"
        if isinstance(message.message, JSONRPCNotification):
            return
        try:
            await self._stdin.drain()
        except (ConnectionError, RuntimeError):
            self._deaf()

    async def aclose(self) -> None:
        """Write what was taken, and take nothing more."""
        self._write()
        await super().aclose()

    def _write(self) -> None:
        if not self._said:
            return
        said, self._said = self._said, []
        try:
            self._stdin.writelines(said)
        except (ConnectionError, RuntimeError):
            self._deaf()
        else:
            if self._stdin.is_closing():
                self._deaf()
