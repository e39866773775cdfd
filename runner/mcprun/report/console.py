"""Terminal output of the commands: results on stdout, progress, warnings and errors on stderr."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.text import Text

from mcprun._util.json_io import dump_indented
from mcprun._util.json_value import JsonObject
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.report.chat import ChatPrinter
from mcprun.report.log_excerpt import exception_line
from mcprun.report.progress import LiveReporter, PlainReporter, ProgressReporter
from mcprun.report.repeats import below_rate, repeat_lines, repeated
from mcprun.report.styles import AMBER
from mcprun.report.text import plural, visible, visible_json
from mcprun.report.totals import totals
from mcprun.report.wrapping import print_hanging
from mcprun.runs.run import Run

if TYPE_CHECKING:
    pass

_REPEATS = 20
"""Maximum number of repeated queries listed in the terminal."""

_FILES = "transcripts.jsonl, trace.jsonl, run.json, server.log"


class Stream(RichConsole):
    """A rich console that can also write text without rich."""

    def put(self, *parts: tuple[str, str]) -> None:
        """Write a line of pairs of text and style. Lines without a style bypass rich, which is slow."""
        if self.color_system and any(style for _, style in parts):
            self.print(Text.assemble(*parts), soft_wrap=True)
            return
        self.write("".join(text for text, _ in parts) + "\n")

    def write(self, text: str) -> None:
        """Write text unchanged."""
        self.file.write(text)


class Console:
    """The standard streams of a command: results on `out`, everything else on `err`. rich handles `NO_COLOR` and pipes.

    When a report uses stdout (`is_stdout_taken`), everything goes to stderr.
    """

    def __init__(self, *, quiet: bool = False, is_verbose: bool = False, is_stdout_taken: bool = False) -> None:
        self.is_quiet = quiet
        self._is_verbose = is_verbose
        self.out = Stream(highlight=False, file=sys.stderr if is_stdout_taken else sys.stdout)
        self.err = Stream(highlight=False, file=sys.stderr)

    def progress(self) -> ProgressReporter:
        """Return the reporter that shows the progress of a run."""
        if self.is_quiet:
            return ProgressReporter(self.err)
        reporter = LiveReporter if self.err.is_terminal else PlainReporter
        return reporter(self.err, is_verbose=self._is_verbose)

    def chat_printer(self) -> ChatPrinter:
        """Return the printer that shows a chat."""

        def write(text: str) -> None:
            self.out.write(text)
            self.out.file.flush()

        return ChatPrinter(self.out, self.err, write)

    @property
    def width(self) -> int:
        """Width of the terminal in columns."""
        return self.out.width

    def lines(self, lines: Iterable[RenderableType]) -> None:
        """Print the lines of a report."""
        for line in lines:
            self.out.print(line, soft_wrap=isinstance(line, Text))

    def json(self, value: JsonObject) -> None:
        """Print an indented JSON object to stdout."""
        self.out.file.write(visible_json(dump_indented(value).decode()) + "\n")

    def note(self, message: str) -> None:
        """Print a line about what was done."""
        self.out.print(Text(visible(message)), soft_wrap=True)

    def text(self, text: str) -> None:
        """Print text to stdout as it is: untrusted text must have been made `visible`."""
        self.out.write(f"{text}\n")

    def error(self, message: str) -> None:
        """Print an error, even if quiet."""
        self.err.print(Text.assemble(("Error: ", "bold red"), visible(message)), soft_wrap=True)

    def status(self, message: str) -> None:
        """Print what a command has done to stderr, even if quiet."""
        self.err.print(Text(visible(message)), soft_wrap=True)

    def run_error(self, error: RunError, *, has_causes: bool = False) -> None:
        """Print why the run stopped, and the end of the server's stderr. Print nothing for a cancelled run.

        If `has_causes`, they are printed later: of a stderr that names an exception, only that line is printed.
        """
        if error.kind is ErrorKind.CANCELLED:  # printed when the signal arrived
            return
        self.err.print(Text.assemble(("Error: ", "bold red"), visible(str(error))), soft_wrap=True)
        if has_causes and (line := exception_line(error.stderr)):
            self.err.print(Text(f"  {visible(line)}"), soft_wrap=True)
        elif error.stderr:
            self.err.print(Text("Last lines of the server's stderr:", "dim"))
            lines = visible(error.stderr).splitlines()
            self.err.print(Text("\n".join(f"  {line}" for line in lines)), soft_wrap=True)

    def warning(self, message: str) -> None:
        """Print a warning, even if quiet."""
        self.err.print(Text.assemble(("Warning: ", AMBER), visible(message)), soft_wrap=True)

    def summary(self, run: Run) -> None:
        """Print the server's warnings, the totals and the run's files. If quiet, print only needless waivers."""
        outcome = run.record.coverage.outcome if run.record.coverage else None
        for note in outcome.notes if outcome else ():
            self.warning(note)
        if self.is_quiet:
            return
        for warning in run.record.server.warnings if run.record.server else []:
            self.warning(warning)
        if run.counts.done:
            self.out.print(totals(run, self.out))
        self.repeats(run)
        self.coverage(run)
        if run.counts.passed and 0 < run.counts.calls == run.counts.tool_errors:
            self.warning(
                "every call returned an error: the queries passed, but nothing that the server does was tested"
            )
        self.files(run)

    def repeats(self, run: Run) -> None:
        """Print each repeated query on a line, with a mark for each run, and how many are below their rate."""
        all_repeats = repeated(run.record, (summary for summary, _ in Run.summaries(run.path)))
        for line, one in repeat_lines(all_repeats[:_REPEATS], self.out.width):
            style = "red" if one.record.is_below else AMBER if one.record.flaky or one.record.error else "dim"
            self.out.print(Text(line, style), soft_wrap=True)
        if len(all_repeats) > _REPEATS:
            more = plural(len(all_repeats) - _REPEATS, "more query")
            self.out.print(Text(f"… and {more}: see the page of mcprun report --html", "dim"), soft_wrap=True)
        if any(one.record.is_below for one in all_repeats):
            self.out.print(Text(below_rate(run.record), "red"), soft_wrap=True)

    def coverage(self, run: Run) -> None:
        """Print which share of the server's tools the run covers, and which it does not, in one line."""
        from mcprun.report.coverage import line_of

        if run.record.route:
            self.routing(run)
        elif line := line_of(run):
            lead, mark, text = line.partition(": ")
            print_hanging(self.out, f"{lead}{mark}", Text(text))

    def routing(self, run: Run) -> None:
        """Print how often the model of a routed run picks the right tool."""
        from mcprun.analysis.routing.measure import measure_routing
        from mcprun.report.routing import print_routing

        with suppress(UsageError):  # a full disk may have cut the transcripts off
            print_routing(measure_routing(run), self.out)

    def files(self, run: Run) -> None:
        """Print the run directory and the names of its files."""
        self.out.print(Text(f"{run.path}: {_FILES}"), soft_wrap=True)

    def print_resume_command(self, run: Run) -> None:
        """Print the command that resumes an unfinished run, even if quiet."""
        self.err.print(Text(f"Resume with: mcprun batch --resume {shlex.quote(str(run.path))}"), soft_wrap=True)

    def pass_of_suite(self, title: str, run: Run) -> None:
        """Print a title and the directory of a run. Print nothing if quiet."""
        if not self.is_quiet:
            self.out.put((f"{title}: {visible(str(run.path))}", ""))
