"""Read the input of a chat from a terminal, with history and completion, or line by line from a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from mcprun.chat.terminal.commands import completions, file_of

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import History
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import Output

_PROMPT = "> "


class Keyboard(Protocol):
    """A source of lines. `is_terminal` is True if it handles Ctrl-C as a key."""

    is_terminal: bool

    async def line(self) -> str | None:
        """Wait for the next line. None at the end of the input."""
        ...

    async def answer(self, question: str) -> str | None:
        """Ask a question, and wait for the answer. None at the end of the input, or if the user interrupts."""
        ...


class Piped:
    """Lines of a stream that is not a terminal, passed to `echo` so that the output reads as a conversation."""

    is_terminal = False

    def __init__(self, stream: IO[bytes], echo: Callable[[str], None]) -> None:
        self._stream = stream
        self._echo = echo
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._reader: threading.Thread | None = None

    async def line(self) -> str | None:
        """Wait for the next line. None at the end of the stream."""
        return await self._next(_PROMPT)

    async def answer(self, question: str) -> str | None:
        """Return the next line as the answer. None at the end of the stream."""
        return await self._next(question)

    async def _next(self, prompt: str) -> str | None:
        if not self._reader:
            # A daemon thread, because a blocking read from a pipe cannot be cancelled.
            loop = asyncio.get_running_loop()
            self._reader = threading.Thread(target=self._read, args=(loop,), name="stdin", daemon=True)
            self._reader.start()
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
        else:
            self._echo(f"{prompt}{line}")
        return line

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for line in self._stream:
                loop.call_soon_threadsafe(self._lines.put_nowait, line.decode("utf-8", "replace").rstrip("\r\n"))
            loop.call_soon_threadsafe(self._lines.put_nowait, None)
        except (RuntimeError, ValueError, OSError):  # the loop or the stream is closed
            return


class Terminal:
    """Lines of a terminal, which prompt_toolkit reads.

    `tools` returns the names that Tab completes. `clean` redacts a line before it is added to the history. `input` and
    `output` default to those of the process, and are meant for tests.
    """

    is_terminal = True

    def __init__(
        self,
        tools: Callable[[], Iterable[str]],
        clean: Callable[[str], str] = str,
        input: Input | None = None,  # noqa: A002  as prompt_toolkit names it
        output: Output | None = None,
    ) -> None:
        from prompt_toolkit import PromptSession

        self._session: PromptSession[str | None] = PromptSession(
            history=_history(clean),
            completer=_completer(tools),
            complete_while_typing=False,
            key_bindings=_keys(lambda event: event.current_buffer.reset()),
            input=input,
            output=output,
        )
        self._questions: PromptSession[str | None] = PromptSession(
            key_bindings=_keys(lambda event: event.app.exit(result=None)), input=input, output=output
        )

    async def line(self) -> str | None:
        """Read a line, with history and completion. Ctrl-C clears it; Ctrl-D on an empty line ends the input."""
        return await _read_line(self._session, _PROMPT)

    async def answer(self, question: str) -> str | None:
        """Ask a question. None for Ctrl-C and Ctrl-D."""
        return await _read_line(self._questions, question)


def history_file() -> Path:
    """Return the path of the input history (XDG Base Directory Specification, `XDG_STATE_HOME`)."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    return base / "mcprun" / "chat-history"


async def _read_line(session: PromptSession[str | None], question: str) -> str | None:
    try:
        # The chat installs its own signal handlers; Ctrl-C is a key here.
        return await session.prompt_async(question, handle_sigint=False)
    except EOFError:
        return None


def _keys(interrupt: Callable[[KeyPressEvent], Any]) -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()
    keys.add("c-c")(interrupt)
    return keys


def _history(clean: Callable[[str], str]) -> History:
    """Open the history file, which only the user can read. If it cannot be written, keep the history in memory."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class _RedactedHistory(FileHistory):
        def store_string(self, string: str) -> None:
            super().store_string(clean(string))

    path = history_file()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return _RedactedHistory(str(path))


def _completer(tools: Callable[[], Iterable[str]]) -> Completer:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    files = PathCompleter(expanduser=True)

    class _Completer(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            before = document.text_before_cursor
            if (file := file_of(before)) is not None:
                yield from files.get_completions(Document(file), complete_event)
                return
            yield from (Completion(name, start_position=start) for name, start in completions(before, tools()))

    return _Completer()


def keyboard(tools: Callable[[], Iterable[str]], clean: Callable[[str], str], echo: Callable[[str], None]) -> Keyboard:
    """Return a `Terminal` if stdin and stdout are terminals, else a `Piped` reader of stdin."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return Terminal(tools, clean)
    return Piped(sys.stdin.buffer, echo)
