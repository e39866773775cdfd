"""Run a chat at a terminal: read lines and show the output until the user quits."""

from __future__ import annotations

import asyncio
import signal

from mcprun._util.operating_system import on_stop_signals
from mcprun.chat.approval import Ask, Decision
from mcprun.chat.run import open_chat
from mcprun.chat.session import AnswerOutcome, ChatSession
from mcprun.chat.terminal.commands import command_of
from mcprun.chat.terminal.input import Keyboard, keyboard
from mcprun.chat.terminal.run_command import run_command
from mcprun.client.transports.process import hurry
from mcprun.engine.run import RunPlan
from mcprun.errors import RunError
from mcprun.report.chat import ChatPrinter
from mcprun.report.console import Console
from mcprun.report.text import plural, visible
from mcprun.runs.events import ToolCall
from mcprun.runs.stream_redaction import StreamRedactor

_DECISIONS: dict[str, Decision] = {
    "y": "yes", "yes": "yes", "n": "no", "no": "no", "a": "always", "always": "always",
}  # fmt: skip


class ChatApp:
    """The `Approver` of a chat at a terminal, which also runs the chat."""

    def __init__(self, plan: RunPlan, ask: Ask, console: Console) -> None:
        self._plan = plan
        self._ask: Ask = ask
        self._console = console
        self._printer: ChatPrinter = console.chat_printer()
        self._stream_redactor = StreamRedactor(plan.redactor)
        self._chat: ChatSession | None = None
        self._is_silent = True
        self._keyboard: Keyboard = keyboard(
            lambda: self._chat.tools.names.values() if self._chat else (), plan.redactor.text, self._echo
        )

    async def run(self) -> tuple[ChatSession | None, int, RunError | None]:
        """Run the chat until it ends.

        Return the session (None if it did not open), the number of the signal that ended it (0 for none), and the error
        that ended it. Raises `UsageError` if the run directory cannot be created.
        """
        task, signal_number = asyncio.current_task(), 0

        def on_signal(number: int) -> None:
            nonlocal signal_number
            if number == signal.SIGINT and self._interrupted():
                return
            signal_number = number
            hurry()
            if task:
                task.cancel()

        on_stop_signals(on_signal)
        error: RunError | None = None
        try:
            async with open_chat(self._plan, self, self._ask, self._printer.handle) as chat:
                self._chat = chat
                self._greet(chat)
                await self._run_lines(chat)
        except asyncio.CancelledError:
            if not signal_number:
                raise
        except RunError as ended:
            error = ended
        self._printer.finish()
        return self._chat, signal_number, error

    def show_text(self, text: str) -> None:
        """Show the model's text, apart from an end that may be the beginning of a secret."""
        self._is_silent = self._is_silent and not text.strip()
        self._printer.piece(self._stream_redactor.take(text))

    def show_call(self, call: ToolCall) -> None:
        """Show a call that the model requested."""
        self._is_silent = True
        self._flush()
        self._printer.print_call(call)

    async def decide(self, call: ToolCall) -> Decision:
        """Ask whether a call may be sent, until the answer is valid. An interruption or the end of input means no."""
        with self._printer.hold_output():
            while True:
                reply = await self._keyboard.answer(f"send call {call.call}? [y]es, [n]o, [a]lways: ")
                if reply is None:  # interrupted at the terminal, or the end of a pipe
                    if self._keyboard.is_terminal:
                        self._interrupted()
                    return "no"
                if decision := _DECISIONS.get(reply.strip().lower()):
                    return decision

    async def _run_lines(self, chat: ChatSession) -> None:
        while (line := await self._keyboard.line()) is not None:
            text = line.strip()
            if not text:
                continue
            command = command_of(text)
            if command is None:
                self._is_silent = True
                answered = await chat.send(text)
                self._flush()
                self._report_end(answered)
            elif command.name == "quit":
                return
            else:
                run_command(command, chat, self._ask, self._console, self._printer)

    def _interrupted(self) -> bool:
        """Stop the answer in progress, if any. Return whether the chat goes on after this interrupt."""
        if self._chat and self._chat.is_answering:
            self._chat.cancel_answer()
            return True
        return bool(self._chat) and self._keyboard.is_terminal

    def _flush(self) -> None:
        """Show the rest of the model's text in a turn."""
        self._printer.piece(self._stream_redactor.flush())
        self._printer.finish()

    def _echo(self, line: str) -> None:
        self._printer.print_line((visible(self._plan.redactor.text(line)), "bold"))

    def _greet(self, chat: ChatSession) -> None:
        model, server = self._plan.model.record, chat.server
        name = " ".join(filter(None, (server.name, server.version))) or "a server without a name"
        tools = plural(len(chat.tools.names), "tool")
        self._printer.note(f"{model.name} ({model.chosen}); {name}: {tools}. Type /help for help.")
        for warning in server.warnings:
            self._printer.note(f"Warning: {warning}")

    def _report_end(self, answer: AnswerOutcome) -> None:
        """Report an answer that is empty, or that the model did not end itself."""
        if answer.is_whole:
            if self._is_silent:
                self._printer.note("The reply is empty.")
            return
        if answer.error:
            outcome = f"Error: {answer.error.kind}: {answer.error}."
        else:
            outcome = "Stopped." if answer.stop == "stopped" else f"The reply was cut short: {answer.stop}."
        next_step = (
            "You can continue the conversation."
            if answer.has_turn
            else "Your message was removed from the conversation."
        )
        self._printer.note(self._plan.redactor.text(f"{outcome} {next_step}"))
