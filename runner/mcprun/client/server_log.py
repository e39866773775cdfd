"""`server.log`: the stderr of a run's servers, redacted and limited in size.

A server's stderr is a pipe that mcprun reads, so that nothing reaches the file unredacted. Offsets in the file and the
end of a server's stderr are current whenever they are read, because the pipe is drained first.
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

_TAIL_CHARS = 4096
"""Characters at the end of a server's stderr that are shown with an error. The cause is usually there."""

_RECENT_CHARS = 65_536
"""Characters at the end of a server's stderr that are searched for errors. A traceback of rich takes 10,000 or more."""

_ERROR_LINE = re.compile(r"^.*\b\w*(?:Error|Exception)\b.*$", re.MULTILINE)
"""A line that names an exception, of any language. Source lines in a traceback rarely do."""

_LINE_CHARS = 65_536
"""Maximum characters of a line. A longer one is written in pieces."""

_EXIT_LINE = re.compile(r"\[the server (?:exited with code|was killed by) [\w ]+\]\n", re.ASCII)
"""The last line of stderr, which the supervisor writes."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Select Graphic Rendition (ECMA-48, 8.3.117), which is meaningless in plain text."""


class ServerLog:
    """The log file, limited to `max_bytes` bytes. All servers of a run write to it, each through a `ServerStderr`."""

    def __init__(self, path: Path, redactor: Redactor, max_bytes: int) -> None:
        self._path = path
        self.redactor = redactor
        self._size = self._size_on_disk()
        self._left = max_bytes - self._size
        self._open: set[ServerStderr] = set()

    @property
    def offset(self) -> int:
        """The offset of the next byte in the file."""
        for stderr in tuple(self._open):
            stderr.read()
        return self._size

    def stderr(self) -> ServerStderr:
        """Return the stderr for one server, which is a context manager."""
        return ServerStderr(self)

    def write(self, text: str) -> str:
        """Write a text redacted, and return the redacted text."""
        text = self.redactor.text(text)
        data = well_formed(text).encode()
        if self._left > 0:
            if len(data) > self._left:
                data = data[: self._left] + b"\n[server.log reached its size limit; further output is not recorded]\n"
            self._left -= len(data)
            # On a full disk, errors still show the end of stderr. The run reports what can't be written.
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

    def register(self, stderr: ServerStderr) -> None:
        """Register a server whose stderr is open."""
        self._open.add(stderr)

    def unregister(self, stderr: ServerStderr) -> None:
        """Forget a server whose stderr was closed."""
        self._open.discard(stderr)


class ServerStderr:
    """One server's stderr: a pipe during the context. `writer` is the descriptor to pass to the server."""

    def __init__(self, log: ServerLog) -> None:
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lines = LineRedactor(log.redactor, _LINE_CHARS)
        self._end = ""
        self.writer = -1
        self._reader: PipeReader | None = None

    def __enter__(self) -> Self:
        self._reader, self.writer = open_pipe(self.read)
        self._log.register(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_writer()
        self.read()
        self._close()

    @property
    def offset(self) -> int:
        """The offset of the next byte in `server.log`."""
        return self._log.offset

    @property
    def stderr_tail(self) -> str:
        """The end of this server's stderr, redacted and without colours."""
        self.read()
        return _COLOURS.sub("", self._end[-_TAIL_CHARS:] + self._log.redactor.text(self._lines.held)).strip()

    @property
    def recent_errors(self) -> str:
        """The recent lines of this server's stderr that name an exception, and the end of it, as `stderr_tail`."""
        tail = self.stderr_tail
        lines = _ERROR_LINE.findall(_COLOURS.sub("", self._end[:-_TAIL_CHARS]))
        return "\n".join([*lines, tail])

    def close_writer(self) -> None:
        """Close mcprun's copy of the writing end, once the server has inherited its own."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def note(self, text: str) -> None:
        """Write a line in brackets that is not the server's own."""
        self._keep(f"[{text}]\n")

    def read(self) -> None:
        """Read and log what is in the pipe."""
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
        self._log.unregister(self)
        self._take(self._decoder.decode(b"", final=True))
        self._keep(self._lines.flush())

    def _take(self, text: str) -> None:
        """Write the complete lines. Start a new line for the supervisor's report of how the server ended."""
        start = text.rfind("[the server ")
        before = (self._end + self._lines.held + text[: max(start, 0)])[-1:]
        if start >= 0 and before not in ("", "\n") and _EXIT_LINE.fullmatch(text, start):
            text = f"{text[:start]}\n{text[start:]}"
        self._keep(self._lines.take(text))

    def _keep(self, text: str) -> None:
        if text:
            self._end = (self._end + self._log.write(text))[-_RECENT_CHARS:]
