"""What is seen while a run goes on: a live line on a terminal, plain lines elsewhere, only trouble when quiet."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from mcprun.report.text import many, one_line, visible
from mcprun.runs.events import BatchSent, Event, Noise, QueryEnd, RunStart, SdkLog, ServerRestart, WarningEvent
from mcprun.runs.records import Transcript, Verdict

STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.ERROR: "yellow", Verdict.SKIPPED: "dim"}

_QUIET = (Verdict.PASSED, Verdict.SKIPPED)

_EACH = 200
"""Runs of at most so many queries get a plain line for each; longer ones for what did not pass, and for progress."""

_LONG_SECONDS = 1.0
"""Somebody who waits for so long wants to know what for."""

_STEPS = 20
"""How many lines of progress a long run prints."""


def named(transcript: Transcript) -> str:
    """Name a query, and the repeat where it is not the first: `add (3)`."""
    return visible(transcript.id) + (f" ({transcript.repeat})" if transcript.repeat > 1 else "")


class ProgressReporter:
    """Follows the events of a run. Subclasses say what is shown; this one shows what did not pass."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.total = 0
        self.verdicts: Counter[Verdict] = Counter()
        self._started = time.monotonic()
        self._warned: set[str] = set()
        self._more = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def handle(self, event: Event) -> None:
        """Take one event of the run."""
        if isinstance(event, RunStart):
            self._more = " (see trace.jsonl)"
            self.total = event.queries - event.done
            self.begun(event)
        elif isinstance(event, QueryEnd):
            self.verdicts[event.transcript.verdict] += 1
            self.ended(event.transcript, event.seconds or 0.0)
        elif isinstance(event, WarningEvent):
            self.note(f"Warning: {visible(event.message)}")
        elif isinstance(event, BatchSent):
            self.sent(event)
        elif isinstance(event, ServerRestart):
            self.restarted(event)
        elif isinstance(event, Noise | SdkLog) and event.name not in self._warned:
            self._warned.add(event.name)
            self.note(f"Warning: {_told(event)}{self._more}")

    def begun(self, event: RunStart) -> None:
        """The run begins, or goes on."""

    def sent(self, event: BatchSent) -> None:
        """A batch is out, and may take long."""

    def restarted(self, event: ServerRestart) -> None:
        """A server is started again: said when it happens first, and whenever there is a wait to be explained."""
        if event.name not in self._warned or event.wait >= _LONG_SECONDS:
            self._warned.add(event.name)
            when = f" in {event.wait:.0f} s" if event.wait >= _LONG_SECONDS else ""
            self.note(f"The server went away, and is started again{when}; {many(event.left, 'restart')} left")

    def ended(self, transcript: Transcript, seconds: float) -> None:
        """A query is done. Those that the run's end took are told with it, in one message."""
        if transcript.verdict not in _QUIET:
            self.line(transcript, seconds)

    def line(self, transcript: Transcript, seconds: float) -> None:
        """Print a query's line: verdict, id, size, and why it did not pass."""
        text = Text.assemble(
            (f"{transcript.verdict:<7}", STYLES[transcript.verdict]),
            f" {named(transcript)}",
            (
                f"  {many(len(transcript.turns), 'turn')}, {many(len(transcript.calls), 'call')}, {seconds:.2f} s",
                "dim",
            ),
        )
        self.console.print(text, soft_wrap=True)
        if transcript.verdict is not Verdict.PASSED:
            self.console.print(Text(f"        {one_line(transcript.cause, 1000)}"), soft_wrap=True)

    def note(self, words: str) -> None:
        """Say something that is no query's."""
        self.console.print(Text(words, "yellow"), soft_wrap=True)

    def so_far(self) -> str:
        """Sum up the verdicts so far: `118 passed, 2 failed`."""
        return ", ".join(f"{self.verdicts[verdict]} {verdict}" for verdict in Verdict if self.verdicts[verdict])


class _TellingWatcher(ProgressReporter):
    """Says what is about to run."""

    def begun(self, event: RunStart) -> None:
        """Count what is to be run, and name who answers."""
        done = f", {event.done:,} of them done already" if event.done else ""
        words = f"{many(event.queries, 'query')}{done}; model: {event.model} ({event.chosen})"
        self.console.print(Text(visible(words), "dim"), soft_wrap=True)

    def sent(self, event: BatchSent) -> None:
        """Name the batch, by which its owner finds it at the API as well."""
        words = f"Waiting for the batch {event.batch}: {many(event.size, 'request')}"
        self.console.print(Text(visible(words), "dim"), soft_wrap=True)


class PlainWatcher(_TellingWatcher):
    """Plain lines, for logs."""

    def ended(self, transcript: Transcript, seconds: float) -> None:
        """Print the query in short runs, trouble and steps of progress in long ones."""
        if transcript.verdict is Verdict.PASSED and self.total <= _EACH:
            self.line(transcript, seconds)
        else:
            super().ended(transcript, seconds)
        done = self.verdicts.total()
        if self.total > _EACH and done % (self.total // _STEPS) == 0:
            elapsed = time.monotonic() - self._started
            self.console.print(f"{done}/{self.total}: {self.so_far()}, {elapsed:.0f} s", soft_wrap=True)


class LiveWatcher(_TellingWatcher):
    """One line that moves, and above it what did not pass."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begun(self, event: RunStart) -> None:
        """Know where the end is."""
        super().begun(event)
        self._progress.update(self._task, total=self.total)

    def ended(self, transcript: Transcript, seconds: float) -> None:
        """Move on, and print trouble above the moving line."""
        super().ended(transcript, seconds)
        self._progress.update(self._task, advance=1, description=self.so_far())


def _told(event: Noise | SdkLog) -> str:
    """Say in a server author's words what it does wrong."""
    if isinstance(event, Noise):
        shown = one_line(event.text, 150)
        return f"the server prints what is no message on stdout, which is the protocol's (stderr is free): {shown}"
    return one_line(event.message, 200)
