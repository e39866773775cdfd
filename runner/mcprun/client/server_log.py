"""`server.log`: what the servers of a run say on stderr, without secrets and with a bound.

A server's stderr is a pipe, read by mcprun, so that nothing reaches the file as it is. Where a server's text stands
in the file, and what it said last, can be asked at any moment: what is still in the pipe is read first.
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from mcprun._util.surrogates import well_formed
from mcprun.client.pipe_reader import READ_BYTES, PipeReader, open_pipe
from mcprun.runs.redaction import Redactor
from mcprun.runs.stream_redaction import LineRedactor

_STDERR_BYTES = 4096
"""How much of a server's stderr is shown with an error: its end, where the cause usually stands."""

_LINE = 65_536
"""Characters: a line that is longer is written in pieces."""

_HOW_IT_ENDED = re.compile(r"\[the server (?:exited with code|was killed by) [\w ]+\]\n", re.ASCII)
"""What the supervisor tells last."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Select Graphic Rendition (ECMA-48, 8.3.117): as plain text it says nothing."""


class ServerLog:
    """The file. All servers of a run write to it, through one `ServerStderr` each; `most` bounds it, in bytes."""

    def __init__(self, path: Path, redactor: Redactor, most: int) -> None:
        self._path = path
        self.redactor = redactor
        self._size = self._size_on_disk()
        self._left = most - self._size
        self._open: set[ServerStderr] = set()

    @property
    def offset(self) -> int:
        """Where the next byte will stand."""
        for stderr in tuple(self._open):
            stderr.read()
        return self._size

    def stderr(self) -> ServerStderr:
        """Make the stderr of one server; a context manager."""
        return ServerStderr(self)

    def write(self, text: str) -> str:
        """Write text without its secrets, and give it so."""
        text = self.redactor.text(text)
        data = well_formed(text).encode()
        if self._left > 0:
            if len(data) > self._left:
                data = (
                    data[: self._left] + b"\n[the servers said more than server.log may hold; the rest is not kept]\n"
                )
            self._left -= len(data)
            # On a full disk the end is still shown; the run has its own word for what can't be written.
            try:
                self._append(data)
                self._size += len(data)
            except OSError:
                self._size = self._size_on_disk()
        return text

    def _append(self, data: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(data)

    def _size_on_disk(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def opened(self, stderr: ServerStderr) -> None:
        """Note that a server may say something."""
        self._open.add(stderr)

    def closed(self, stderr: ServerStderr) -> None:
        """Note that it has ended."""
        self._open.discard(stderr)


class ServerStderr:
    """One server's stderr: a pipe while the context lasts. `writer` is the end that the server gets."""

    def __init__(self, log: ServerLog) -> None:
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines = LineRedactor(log.redactor, _LINE)
        self._end = ""
        self.writer = -1
        self._reader: PipeReader | None = None

    def __enter__(self) -> Self:
        self._reader, self.writer = open_pipe(self.read)
        self._log.opened(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hand_over()
        self.read()
        self._close()

    @property
    def offset(self) -> int:
        """Where the next byte will stand in `server.log`."""
        return self._log.offset

    @property
    def last_words(self) -> str:
        """The end of what this server has said, without its colours."""
        self.read()
        return _COLOURS.sub("", self._end + self._log.redactor.text(self._lines.held)).strip()

    def hand_over(self) -> None:
        """Leave the writing end to the server, which has its own by now."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def note(self, words: str) -> None:
        """Say something in the server's place."""
        self._keep(f"[{words}]\n")

    def read(self) -> None:
        """Take what is in the pipe."""
        while self._reader:
            data = self._reader.read()
            if data is None:
                return
            if not data:
                self._close()
                return
            self._take(self._decoder.decode(data))
            if len(data) < READ_BYTES:
                return

    def _close(self) -> None:
        if self._reader is None:
            return
        self._reader.close()
        self._reader = None
        self._log.closed(self)
        self._take(self._decoder.decode(b"", final=True))
        self._keep(self._lines.end())

    def _take(self, text: str) -> None:
        """Write the lines that have ended. How the server ended stands on a line of its own."""
        start = text.rfind("[the server ")
        before = (self._end + self._lines.held + text[: max(start, 0)])[-1:]
        if start >= 0 and before not in ("", "\n") and _HOW_IT_ENDED.fullmatch(text, start):
            text = f"{text[:start]}\n{text[start:]}"
        self._keep(self._lines.take(text))

    def _keep(self, text: str) -> None:
        if text:
            self._end = (self._end + self._log.write(text))[-_STDERR_BYTES:]
