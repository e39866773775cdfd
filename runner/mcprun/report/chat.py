"""What is seen of a chat: the model's words as they come, calls as they happen, and what is to be known besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from mcprun.report.progress import ProgressReporter
from mcprun.report.text import duration, one_line, visible
from mcprun.runs.events import Event, Retry, ServerRequest, ToolCall
from mcprun.runs.records import Transcript
from mcprun.tools.format import ValueFormatter

_CALL = 300
"""Characters of a call that are shown."""

_NOTE = 1000
"""Characters of an error or a warning that are shown."""


class ChatPrinter(ProgressReporter):
    """Shows a chat: the conversation on stdout (`out`), all else on stderr.

    `write` puts text on stdout as it is. While a question is asked (`asking`), what happens is told after it.
    """

    def __init__(self, out: Console, err: Console, write: Callable[[str], None]) -> None:
        super().__init__(err)
        self._out = out
        self._write = write
        self._is_open = False
        self._kept: list[Callable[[], None]] | None = None

    def handle(self, event: Event) -> None:
        """Take one event of the run: calls that came to an end, and what a run tells of."""
        super().handle(event)
        if isinstance(event, ToolCall):
            self.called(event)
        elif isinstance(event, ServerRequest):
            told = event.reason or event.answer or "answered"
            self.note(f"The server asks for {event.kind}{f': {event.message}' if event.message else ''}; {told}")
        elif isinstance(event, Retry):
            self.note(f"{event.error}; asking again in {duration(event.wait)}")

    def ended(self, transcript: Transcript, seconds: float) -> None:
        """Say nothing: each answer was told of."""

    def piece(self, text: str) -> None:
        """Show a piece of what the model says."""
        if text:
            self._write(visible(text))
            self._is_open = not text.endswith("\n")

    def calling(self, call: ToolCall) -> None:
        """Show a call that the model wants to make."""
        title = one_line(f"{call.tool}{ValueFormatter().input(call.input)}", _CALL)
        self.show((f"call {call.call}  ", "dim"), (title, "cyan"))

    def called(self, call: ToolCall) -> None:
        """Show how a call ended."""
        how = ("error", "red") if call.is_error else ("ok", "green")
        problem = f": {one_line(call.problem, _CALL)}" if call.problem else ""
        self.show((f"call {call.call}  ", "dim"), how, (f", {duration(call.seconds)}{problem}", "dim"))

    def show(self, *parts: tuple[str, str]) -> None:
        """Show a line of the conversation, made of texts and their styles."""
        self._put(lambda: self._out.print(Text.assemble(*parts), soft_wrap=True))

    def note(self, words: str) -> None:
        """Say something that is not of the conversation."""
        self._put(lambda: self.console.print(Text(one_line(words, _NOTE), "yellow"), soft_wrap=True))

    def finish(self) -> None:
        """End the line that is being written."""
        if self._is_open:
            self._is_open = False
            self._write("\n")

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Keep still while a question stands in the last line."""
        self.finish()
        self._kept = []
        try:
            yield
        finally:
            kept, self._kept = self._kept, None
            for put in kept:
                put()

    def _put(self, put: Callable[[], None]) -> None:
        if self._kept is not None:
            self._kept.append(put)
            return
        self.finish()
        put()
