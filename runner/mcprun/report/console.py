"""Terminal output of the commands: results on stdout, progress, warnings and errors on stderr."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.text import Text

from mcprun._util.json_io import dump_indented
from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.json_lines import as_json, read_differences
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import DiffSummary, MovedRate, QueryDiff
from mcprun.errors import ErrorKind, RunError
from mcprun.report.cause_text import SHOWN, TITLE, details, headline, left_out, next_commands
from mcprun.report.causes import Cause, CauseKind
from mcprun.report.chat import ChatPrinter
from mcprun.report.conversation import head, laid_out
from mcprun.report.data import gather, read_causes
from mcprun.report.diff import BASELINE, blocks, lines, moved_lines, summary, tool_lines
from mcprun.report.diff_markdown import markdown
from mcprun.report.fault_isolation import render, render_diff
from mcprun.report.log_excerpt import exception_line
from mcprun.report.outcome import outcome
from mcprun.report.progress import LiveReporter, PlainReporter, ProgressReporter
from mcprun.report.repeats import below_rate, repeat_lines, repeated
from mcprun.report.reproduce import Commands
from mcprun.report.run_list import Which, query_rows
from mcprun.report.styles import AMBER, STYLES
from mcprun.report.text import plural, visible, visible_json
from mcprun.report.timeline import Timeline
from mcprun.report.timeline_text import timeline_rows
from mcprun.report.totals import totals
from mcprun.report.volatile import empty_warning, masked_lines, suggestion_lines
from mcprun.report.wrapping import print_hanging
from mcprun.runs.directory import DIFFERENCES
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript, Verdict
from mcprun.tools.changes import ToolChange

if TYPE_CHECKING:
    from mcprun.analysis.volatile.passes import VolatileSuite

_REPEATS = 20
"""Maximum number of repeated queries listed in the terminal."""

_FILES = "transcripts.jsonl, trace.jsonl, run.json, server.log"


class _Stream(RichConsole):
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
    """The standard streams of a command. rich handles `NO_COLOR` and pipes.

    When a report uses stdout (`is_stdout_taken`), everything goes to stderr.
    """

    def __init__(self, *, quiet: bool = False, is_verbose: bool = False, is_stdout_taken: bool = False) -> None:
        self._quiet = quiet
        self._is_verbose = is_verbose
        self._out = _Stream(highlight=False, file=sys.stderr if is_stdout_taken else sys.stdout)
        self._err = _Stream(highlight=False, file=sys.stderr)

    def progress(self) -> ProgressReporter:
        """Return the reporter that shows the progress of a run."""
        if self._quiet:
            return ProgressReporter(self._err)
        reporter = LiveReporter if self._err.is_terminal else PlainReporter
        return reporter(self._err, is_verbose=self._is_verbose)

    def chat_printer(self) -> ChatPrinter:
        """Return the printer that shows a chat."""

        def write(text: str) -> None:
            self._out.write(text)
            self._out.file.flush()

        return ChatPrinter(self._out, self._err, write)

    @property
    def width(self) -> int:
        """Width of the terminal in columns."""
        return self._out.width

    def lines(self, lines: Iterable[RenderableType]) -> None:
        """Print the lines of a report."""
        for line in lines:
            self._out.print(line, soft_wrap=isinstance(line, Text))

    def json(self, value: JsonObject) -> None:
        """Print an indented JSON object to stdout."""
        self._out.file.write(visible_json(dump_indented(value).decode()) + "\n")

    def note(self, message: str) -> None:
        """Print a line about what was done."""
        self._out.print(Text(visible(message)), soft_wrap=True)

    def text(self, text: str) -> None:
        """Print text to stdout as it is: untrusted text must have been made `visible`."""
        self._out.write(f"{text}\n")

    def error(self, message: str) -> None:
        """Print an error, even if quiet."""
        self._err.print(Text.assemble(("Error: ", "bold red"), visible(message)), soft_wrap=True)

    def status(self, message: str) -> None:
        """Print what a command has done to stderr, even if quiet."""
        self._err.print(Text(visible(message)), soft_wrap=True)

    def run_error(self, error: RunError, *, has_causes: bool = False) -> None:
        """Print why the run stopped, and the end of the server's stderr. Print nothing for a cancelled run.

        If `has_causes`, they are printed later: of a stderr that names an exception, only that line is printed.
        """
        if error.kind is ErrorKind.CANCELLED:  # printed when the signal arrived
            return
        self._err.print(Text.assemble(("Error: ", "bold red"), visible(str(error))), soft_wrap=True)
        if has_causes and (line := exception_line(error.stderr)):
            self._err.print(Text(f"  {visible(line)}"), soft_wrap=True)
        elif error.stderr:
            self._err.print(Text("Last lines of the server's stderr:", "dim"))
            lines = visible(error.stderr).splitlines()
            self._err.print(Text("\n".join(f"  {line}" for line in lines)), soft_wrap=True)

    def warning(self, message: str) -> None:
        """Print a warning, even if quiet."""
        self._err.print(Text.assemble(("Warning: ", AMBER), visible(message)), soft_wrap=True)

    def summary(self, run: Run) -> None:
        """Print the server's warnings, the totals and the run's files. Print nothing if quiet."""
        if self._quiet:
            return
        for warning in run.record.server.warnings if run.record.server else []:
            self.warning(warning)
        if run.counts.done:
            self._out.print(totals(run, self._out))
        self._repeats(run)
        if run.counts.passed and 0 < run.counts.calls == run.counts.tool_errors:
            self.warning(
                "every call returned an error: the queries passed, but nothing that the server does was tested"
            )
        self.files(run)

    def _repeats(self, run: Run) -> None:
        """Print each repeated query on a line, with a mark for each run, and how many are below their rate."""
        all_repeats = repeated(run.record, (summary for summary, _ in Run.summaries(run.path)))
        for line, one in repeat_lines(all_repeats[:_REPEATS], self._out.width):
            style = "red" if one.record.is_below else AMBER if one.record.flaky or one.record.error else "dim"
            self._out.print(Text(line, style), soft_wrap=True)
        if len(all_repeats) > _REPEATS:
            more = plural(len(all_repeats) - _REPEATS, "more query")
            self._out.print(Text(f"… and {more}: see the page of mcprun report --html", "dim"), soft_wrap=True)
        if any(one.record.is_below for one in all_repeats):
            self._out.print(Text(below_rate(run.record), "red"), soft_wrap=True)

    def files(self, run: Run) -> None:
        """Print the run directory and the names of its files."""
        self._out.print(Text(f"{run.path}: {_FILES}"), soft_wrap=True)

    def print_resume_command(self, run: Run) -> None:
        """Print the command that resumes an unfinished run, even if quiet."""
        self._err.print(Text(f"Resume with: mcprun batch --resume {shlex.quote(str(run.path))}"), soft_wrap=True)

    def run(self, run: Run, which: Which = "") -> None:
        """Print a run: a heading, its queries, those that did not pass first, the totals, and why it is red."""
        record, facts = run.record, gather(run)
        server = record.arguments.get("server", "?")
        heading = f"{run.path}  prompts: {record.prompts.file}, server: {server}, model: {record.model.name}"
        self._out.print(Text(visible(heading), "bold"), soft_wrap=True)
        for row in query_rows(run, facts, which):
            self._out.print(row.line, no_wrap=True, overflow="ellipsis")
            for cause in row.causes:
                print_hanging(self._out, " " * 8, cause)
        with self._out.capture() as counted:
            self._out.print(totals(run, self._out))
            self._repeats(run)
        self._out.write(f"{counted.get().rstrip()}\n")
        if facts.why:
            self._out.print()
        self._causes(run, facts.why)

    def differences(
        self,
        diffs: Iterator[QueryDiff],
        tools: Sequence[ToolChange],
        diff_summary: DiffSummary,
        form: str,
        volatile: Callable[[], VolatileSummary] = VolatileSummary,
        *,
        base: str = "BASE",
        moved: Sequence[MovedRate] = (),
    ) -> None:
        """Print the differences between two runs as `text`, `json` or `markdown`. `base` names the first in text.

        `diff_summary` and `moved` are complete once `diffs` is exhausted, and `volatile` is called then. What looks
        volatile, and warnings about what is masked, go to stderr, unless they are part of the Markdown or JSON.
        """
        if form == "json":
            for diff in diffs:
                self._out.put((visible_json(render_diff(diff, as_json)), ""))
            if tools:
                self._out.put((visible_json(as_json({"tools": tools})), ""))
            if moved:
                self._out.put((visible_json(as_json({"moved": list(moved)})), ""))
            if found := volatile():
                self._out.put((visible_json(as_json({"volatile": found})), ""))
            self._out.put((as_json({"totals": diff_summary}), ""))
            return
        groups = Groups()
        for diff in diffs:
            render_diff(diff, groups.add)
        if form == "markdown":
            for piece in markdown(groups, tools, diff_summary, moved=moved, volatile=volatile()):
                self._out.put((piece, ""))
            return
        for block in blocks(groups, base):
            for line in block:
                self._out.put(*line)
        for line in (*tool_lines(tools), *moved_lines(moved, diff_summary.chance)):
            self._out.put(*line)
        self._totals(volatile(), diff_summary)

    def _totals(self, found: VolatileSummary, diff_summary: DiffSummary) -> None:
        """Print what a comparison masked, its totals, and on stderr, how to leave out what looks volatile."""
        for line in [] if self._quiet else masked_lines(found):
            self._out.put((line, "dim"))
        self._out.print(Text(summary(diff_summary), "bold" if diff_summary.differ else "green"), soft_wrap=True)
        if warning := empty_warning(found.shares):
            self.warning(warning)
        self.suggestions(found)

    def pass_of_suite(self, title: str, run: Run) -> None:
        """Print a title and the directory of a run. Print nothing if quiet."""
        if not self._quiet:
            self._out.put((f"{title}: {visible(str(run.path))}", ""))

    def volatile_suite(self, suite: VolatileSuite) -> None:
        """Print what is volatile in a suite, even if quiet."""
        from mcprun.report.volatile_suite import suite_lines, suite_outcome

        for line in suite_lines(suite):
            self._out.put((line, ""))
        self._out.put((suite_outcome(suite), "green" if suite.is_stable else "bold red"))

    def suggestions(self, found: VolatileSummary) -> None:
        """Print how to leave out what looks volatile, and whether the conditions differ, even if quiet."""
        if found.conditions:
            self._err.put((f"Note: {visible(found.conditions)}", ""))
        for line in suggestion_lines(found):
            self._err.put((line, ""))

    def baseline(self, run: Run) -> None:
        """Print how a run differs from its baseline, if it was compared with one."""
        record = run.record.baseline
        if record is None or record.compared is None:
            return
        tools: list[ToolChange] = []
        volatile: list[VolatileSummary] = []
        moved: list[MovedRate] = []

        def queries() -> Iterator[QueryDiff]:
            for difference in read_differences(run.path / DIFFERENCES):
                if isinstance(difference, QueryDiff):
                    yield difference
                elif isinstance(difference, VolatileSummary):
                    volatile.append(difference)
                elif isinstance(difference, tuple):
                    moved.extend(difference)
                else:
                    tools.extend(difference)

        counts = DiffSummary(**record.compared.model_dump())
        self.differences(
            queries(),
            tools,
            counts,
            "text",
            lambda: volatile[0] if volatile else VolatileSummary(),
            base=BASELINE,
            moved=moved,
        )

    def outcome(self, run: Run, *, is_reported: bool = True) -> None:
        """Print why a run did not pass, even if quiet: its causes, the next command, and a last line with the outcome.

        Print nothing if it passed. `is_reported` is whether all its reports were written.
        """
        if causes := read_causes(run):
            self._out.print()
            self._causes(run, causes)
        reasons = outcome(run.record, run.counts)
        if not is_reported:
            reasons = f"{reasons or 'ERROR: the run passed'}, a report was not written"
        if reasons:
            self._out.print(Text(reasons, "bold red"), soft_wrap=True)

    def _causes(self, run: Run, causes: Sequence[Cause]) -> None:
        """Print the causes of a red run, one per line, each with its first queries, and the next command."""
        if causes:
            self._out.print(Text(TITLE, "bold"))
        for cause in causes[:SHOWN]:
            print_hanging(self._out, "● ", Text(headline(cause)), _cause_style(cause))
            if text := details(cause):
                print_hanging(self._out, "  ", Text(text, "dim"))
        if text := left_out(causes[SHOWN:]):
            self._out.print(Text(text, "dim"), soft_wrap=True)
        for lead, command in zip(chain(["Next: "], repeat("      ")), next_commands(run, causes), strict=False):
            self._out.print(Text(f"{lead}{command}"), soft_wrap=True)

    def difference(self, difference: QueryDiff | Sequence[ToolChange]) -> None:
        """Print a query that differs, or the changes of a server's tools."""
        if isinstance(difference, QueryDiff):
            shown = render_diff(difference, lambda one: list(lines(one, BASELINE)))
        else:
            shown = list(tool_lines(difference))
        for line in shown:
            self._out.put(*line)

    def commands(self, commands: Commands, query: str) -> None:
        """Print the commands that run a query again and that print it, unwrapped, so that they can be copied."""
        self._out.print(Text("Reproduce:", "dim"))
        for command in commands.both(query):
            self._out.print(Text(f"  {visible(command)}"), soft_wrap=True)
        if commands.note:
            self._out.print(Text(f"  {commands.note}", "dim"), soft_wrap=True)

    def conversation(self, transcript: Transcript) -> None:
        """Print one transcript as a conversation, with speakers in the margin."""
        title, body = render(transcript, lambda one: (head(one), laid_out(one)))
        self._out.print(title, soft_wrap=True)
        self._out.print(body)
        self._out.print()

    def timeline(self, shown: Timeline) -> None:
        """Print where the time of a query went."""
        for row in timeline_rows(shown):
            self._out.print(row)
        self._out.print()


def _cause_style(cause: Cause) -> str:
    return STYLES[Verdict.ERROR if cause.kind in (CauseKind.ERROR, CauseKind.STOPPED) else Verdict.FAILED]
