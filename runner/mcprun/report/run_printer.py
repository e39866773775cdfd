"""Print a recorded run: its queries, its conversations, and why it is red."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from rich.text import Text

from mcprun.report.cause_text import SHOWN, TITLE, details, headline, left_out, next_commands
from mcprun.report.causes import Cause, CauseKind
from mcprun.report.console import Console
from mcprun.report.conversation import head, laid_out
from mcprun.report.data import gather, read_causes
from mcprun.report.fault_isolation import render
from mcprun.report.outcome import outcome
from mcprun.report.reproduce import Commands
from mcprun.report.run_list import Which, query_rows
from mcprun.report.styles import STYLES
from mcprun.report.text import visible
from mcprun.report.timeline import Timeline
from mcprun.report.timeline_text import timeline_rows
from mcprun.report.totals import totals
from mcprun.report.wrapping import print_hanging
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript, Verdict


class RunPrinter:
    """Prints runs to the streams of a console."""

    def __init__(self, console: Console) -> None:
        self._console, self._out = console, console.out

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
            self._console.repeats(run)
            self._console.coverage(run)
        self._out.write(f"{counted.get().rstrip()}\n")
        if facts.why:
            self._out.print()
        self._causes(run, facts.why)

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

    def conversation(self, transcript: Transcript) -> None:
        """Print one transcript as a conversation, with speakers in the margin."""
        title, body = render(transcript, lambda one: (head(one), laid_out(one)))
        self._out.print(title, soft_wrap=True)
        self._out.print(body)
        self._out.print()

    def commands(self, commands: Commands, transcript: Transcript) -> None:
        """Print the commands that run a query again and that print it, unwrapped, so that they can be copied."""
        self._out.print(Text("Reproduce:", "dim"))
        for command in commands.of_query(transcript):
            self._out.print(Text(f"  {visible(command)}"), soft_wrap=True)
        if commands.note:
            self._out.print(Text(f"  {commands.note}", "dim"), soft_wrap=True)

    def timeline(self, shown: Timeline) -> None:
        """Print where the time of a query went."""
        for row in timeline_rows(shown):
            self._out.print(row)
        self._out.print()


def _cause_style(cause: Cause) -> str:
    is_error = cause.kind in (CauseKind.SETUP, CauseKind.ERROR, CauseKind.STOPPED)
    return STYLES[Verdict.ERROR if is_error else Verdict.FAILED]
