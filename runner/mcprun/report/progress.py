"""Progress of a run: a live line on a terminal, plain lines elsewhere, and only warnings if quiet."""

from __future__ import annotations

import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text
from rich.theme import Theme

from mcprun.report.activity import activity
from mcprun.report.styles import AMBER, STYLES
from mcprun.report.text import one_line, plural, verdict_count, visible
from mcprun.report.wrapping import print_hanging
from mcprun.runs.events import BatchSent, Event, Noise, QueryEnd, RunStart, SdkLog, ServerRestart, WarningEvent
from mcprun.runs.transcript import Transcript, Verdict

_WAITING = "cyan"
"""The style of the progress bar until the first query has ended."""

_NEUTRAL = Theme({"progress.download": "none", "progress.elapsed": "dim"})
"""Styles of the count and the time beside the bar: rich's green and yellow would look like verdicts."""

_QUIET = (Verdict.PASSED, Verdict.SKIPPED)

_EACH = 200
"""Maximum number of queries of a run that prints a plain line for each. Longer runs print failures and progress."""

_LONG_SECONDS = 1.0
"""Wait in seconds from which a restart is always reported, with the wait as its reason."""

_WARNINGS = 5
"""Maximum number of warnings about queries that are printed."""

_STEPS = 20
"""Number of progress lines that a long run prints."""


def label(transcript: Transcript) -> str:
    """Return a query's id, and the repeat if it is not the first: `add (3)`."""
    return repeat_label(transcript.id, transcript.repeat)


def repeat_label(name: str, repeat: int) -> str:
    """Return the label of a query's repeat, as `label` does for a transcript."""
    return visible(name) + (f" ({repeat})" if repeat > 1 else "")


class ProgressReporter:
    """Handles the events of a run, and prints warnings. Subclasses override the `report_…` methods.

    If `is_verbose`, each call, request and retry is printed as it happens, and each query as it ends. Warnings about
    queries, such as those of their cleanup, are printed when the context exits, the first `_WARNINGS` of them.
    """

    def __init__(self, console: Console, *, is_verbose: bool = False) -> None:
        self.console = console
        self._is_verbose = is_verbose
        self.total = 0
        self.verdicts: Counter[Verdict] = Counter()
        self._started = time.monotonic()
        self._warned: set[str] = set()
        self._more = ""
        self._query_warnings: list[str] = []
        self._left_out = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.report_query_warnings()

    def handle(self, event: Event) -> None:
        """Handle one event of the run."""
        if isinstance(event, RunStart):
            self._more = " (details in trace.jsonl)"
            self.total = event.queries - event.done
            self.report_start(event)
        elif isinstance(event, QueryEnd):
            self.verdicts[event.transcript.verdict] += 1
            self.report_query(event.transcript, event.seconds or 0.0)
        elif isinstance(event, WarningEvent):
            self._warn(event)
        elif isinstance(event, BatchSent):
            self.report_batch(event)
        elif isinstance(event, ServerRestart):
            self.report_restart(event)
        elif isinstance(event, Noise | SdkLog) and event.name not in self._warned:
            self._warned.add(event.name)
            self.note(f"Warning: {_warning(event)}{self._more}")
        elif self._is_verbose and (line := activity(event)):
            self.console.print(line, soft_wrap=True)

    def _warn(self, event: WarningEvent) -> None:
        """Print a warning, or keep that about a query for the end."""
        if event.where is None:
            self.note(f"Warning: {visible(event.message)}")
        elif event.message in self._query_warnings:  # of an earlier attempt
            return
        elif len(self._query_warnings) < _WARNINGS:
            self._query_warnings.append(event.message)
        else:
            self._left_out += 1

    def report_query_warnings(self) -> None:
        """Print the warnings about queries, and how many more the trace has."""
        for message in self._query_warnings:
            self.note(f"Warning: {one_line(message, 1000)}")
        if self._left_out:
            self.note(f"… and {plural(self._left_out, 'more warning')} about queries{self._more}")
        self._query_warnings, self._left_out = [], 0

    def report_start(self, event: RunStart) -> None:
        """Handle the start or resumption of the run."""

    def report_batch(self, event: BatchSent) -> None:
        """Handle a batch that was sent, which may take long."""

    def report_restart(self, event: ServerRestart) -> None:
        """Report a server restart if it is the server's first, or if it comes after a noticeable wait."""
        if event.name not in self._warned or event.wait >= _LONG_SECONDS:
            self._warned.add(event.name)
            delay = f" in {event.wait:.0f} s" if event.wait >= _LONG_SECONDS else ""
            if event.is_remote:
                tries = plural(event.left, "more try")
                self.note(f"The connection to the server was lost; reconnecting{delay} ({tries} left)")
            else:
                self.note(f"The server died; restarting it{delay} ({plural(event.left, 'restart')} left)")

    def report_query(self, transcript: Transcript, seconds: float) -> None:
        """Handle a finished query."""

    def line(self, transcript: Transcript, elapsed: float) -> None:
        """Print a query's verdict, id, size and duration, and why it did not pass."""
        text = Text.assemble(
            (f"{transcript.verdict:<7}", STYLES[transcript.verdict]),
            f" {label(transcript)}",
            (
                f"  {plural(len(transcript.turns), 'turn')}, {plural(len(transcript.calls), 'call')}, {elapsed:.2f} s",
                "dim",
            ),
        )
        self.console.print(text, soft_wrap=True)
        if transcript.verdict is not Verdict.PASSED:
            for cause in transcript.causes:
                print_hanging(self.console, " " * 8, Text(one_line(cause, 1000)))

    def note(self, message: str) -> None:
        """Print a note that belongs to no query."""
        self.console.print(Text(message, AMBER), soft_wrap=True)

    def format_verdicts(self) -> str:
        """Return the verdicts so far: `118 passed, 2 failed`."""
        return ", ".join(verdict_count(verdict, count) for verdict, count in self.counts())

    def counts(self) -> list[tuple[Verdict, int]]:
        """Return the verdicts so far, each with its count."""
        return [(verdict, self.verdicts[verdict]) for verdict in Verdict if self.verdicts[verdict]]

    @property
    def worst_style(self) -> str:
        """The style of the worst verdict so far: a failure outweighs an error."""
        worst = next((one for one in (Verdict.FAILED, Verdict.ERROR) if self.verdicts[one]), Verdict.PASSED)
        return STYLES[worst]


class _AnnouncingReporter(ProgressReporter):
    """Prints the size and the model of a run at its start, each batch that is sent, and queries that did not pass."""

    def report_start(self, event: RunStart) -> None:
        """Print the number of queries and the model."""
        done = f", {event.done:,} already done" if event.done else ""
        message = f"{plural(event.queries, 'query')}{done}; model: {event.model} ({event.chosen})"
        self.console.print(Text(visible(message), "dim"), soft_wrap=True)

    def report_batch(self, event: BatchSent) -> None:
        """Print the batch id, which also identifies the batch at the API."""
        message = f"Waiting for batch {event.batch} ({plural(event.size, 'request')})"
        self.console.print(Text(visible(message), "dim"), soft_wrap=True)

    def report_query(self, transcript: Transcript, seconds: float) -> None:
        """Print a query that did not pass. Skipped queries are reported in one message when the run ends."""
        if transcript.verdict not in _QUIET or self._is_verbose:
            self.line(transcript, seconds)


class PlainReporter(_AnnouncingReporter):
    """Prints plain lines, for logs."""

    def report_query(self, transcript: Transcript, seconds: float) -> None:
        """Print each query in short runs; failures and progress in long ones."""
        if transcript.verdict is Verdict.PASSED and self.total <= _EACH and not self._is_verbose:
            self.line(transcript, seconds)
        else:
            super().report_query(transcript, seconds)
        done = self.verdicts.total()
        if self.total > _EACH and done % (self.total // _STEPS) == 0:
            elapsed = time.monotonic() - self._started
            self.console.print(f"{done}/{self.total}: {self.format_verdicts()}, {elapsed:.0f} s", soft_wrap=True)


class LiveReporter(_AnnouncingReporter):
    """Shows a live progress line, with failures above it.

    The bar has the colour of the worst verdict so far: green, amber after an error, red after a failure.
    """

    def __init__(self, console: Console, *, is_verbose: bool = False) -> None:
        super().__init__(console, is_verbose=is_verbose)
        console.push_theme(_NEUTRAL)
        style = STYLES[Verdict.PASSED]
        self._bar = BarColumn(30, complete_style=style, finished_style=style, pulse_style=_WAITING)
        self._progress = Progress(
            self._bar,
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
        super().__exit__(kind, error, trace)

    def report_start(self, event: RunStart) -> None:
        """Set the total of the progress bar."""
        super().report_start(event)
        self._progress.update(self._task, total=self.total)

    def report_query(self, transcript: Transcript, seconds: float) -> None:
        """Advance the progress bar, and print a failure above it."""
        super().report_query(transcript, seconds)
        self._bar.complete_style = self._bar.finished_style = self.worst_style
        counts = (f"[{STYLES[verdict]}]{verdict_count(verdict, count)}[/]" for verdict, count in self.counts())
        self._progress.update(self._task, advance=1, description=", ".join(counts))


def _warning(event: Noise | SdkLog) -> str:
    """Return a warning for the author of the server."""
    if isinstance(event, Noise):
        output = one_line(event.text, 150)
        return f"the server wrote non-protocol output to stdout; log to stderr instead: {output}"
    return one_line(event.message, 200)
