"""Terminal output of a chat: streamed model text, tool calls as they happen, and notes on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from mcprun.report.progress import ProgressReporter
from mcprun.report.styles import AMBER
from mcprun.report.text import duration, one_line, visible
from mcprun.runs.events import Event, Retry, ServerRequest, ToolCall
from mcprun.runs.transcript import Transcript
from mcprun.tools.format import ValueFormatter

_CALL = 300
"""Maximum number of characters shown of a call."""

_NOTE = 1000
"""Maximum number of characters shown of an error or a warning."""


class ChatPrinter(ProgressReporter):
    """Prints a chat: the conversation to stdout (`out`), everything else to stderr.

    `write` writes text to stdout unchanged. Output that arrives during a question (`hold_output`) is printed after it.
    """

    def __init__(self, out: Console, err: Console, write: Callable[[str], None]) -> None:
        super().__init__(err)
        self._out = out
        self._write = write
        self._is_open = False
        self._held: list[Callable[[], None]] | None = None

    def handle(self, event: Event) -> None:
        """Print an event: a finished call, a server request, a retry, or what every run prints."""
        super().handle(event)
        if isinstance(event, ToolCall):
            self.print_result(event)
        elif isinstance(event, ServerRequest):
            response = event.reason or event.answer or "sent"
            message = f": {event.message}" if event.message else ""
            self.note(f"Server request: {event.kind}{message}; response: {response}")
        elif isinstance(event, Retry):
            self.note(f"{event.error}; retrying in {duration(event.wait)}")

    def report_query(self, transcript: Transcript, seconds: float) -> None:
        """Print nothing: each reply was printed as it arrived."""

    def piece(self, text: str) -> None:
        """Print a streamed piece of the model's text."""
        if text:
            self._write(visible(text))
            self._is_open = not text.endswith("\n")

    def print_call(self, call: ToolCall) -> None:
        """Print a call that the model requests."""
        title = one_line(f"{call.tool}{ValueFormatter().input(call.input)}", _CALL)
        self.print_line((f"call {call.call}  ", "dim"), (title, "cyan"))

    def print_result(self, call: ToolCall) -> None:
        """Print the outcome and duration of a call."""
        how = ("error", "red") if call.is_error else ("ok", "green")
        problem = f": {one_line(call.problem, _CALL)}" if call.problem else ""
        self.print_line((f"call {call.call}  ", "dim"), how, (f", {duration(call.seconds)}{problem}", "dim"))

    def print_line(self, *parts: tuple[str, str]) -> None:
        """Print one line of the conversation, made of pairs of text and style."""
        self._put(lambda: self._out.print(Text.assemble(*parts), soft_wrap=True))

    def note(self, message: str) -> None:
        """Print a note to stderr that is not part of the conversation."""
        self._put(lambda: self.console.print(Text(one_line(message, _NOTE), AMBER), soft_wrap=True))

    def finish(self) -> None:
        """End the current line if it is still open."""
        if self._is_open:
            self._is_open = False
            self._write("\n")

    @contextmanager
    def hold_output(self) -> Iterator[None]:
        """Hold back output while a question is on the last line."""
        self.finish()
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for put in held:
                put()

    def _put(self, put: Callable[[], None]) -> None:
        if self._held is not None:
            self._held.append(put)
            return
        self.finish()
        put()
