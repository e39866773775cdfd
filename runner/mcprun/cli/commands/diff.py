"""`mcprun diff`: compare two runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mcprun.cli.completion import runs
from mcprun.cli.configurable_command import ConfigurableCommand
from mcprun.cli.options import report as report_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options.option import Heading, option
from mcprun.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from mcprun.analysis.diff.transcripts import CompareOptions


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The parameters of the command."""

    base: str
    head: str
    text: bool
    usage: bool
    ignore: tuple[str, ...]
    ignore_order: tuple[str, ...]
    scrub: tuple[str, ...]
    alpha: float
    only: tuple[str, ...]
    as_json: bool
    as_markdown: bool
    html: Path | None

    @property
    def form(self) -> Literal["json", "markdown", "text"]:
        """The format to print."""
        return "json" if self.as_json else "markdown" if self.as_markdown else "text"

    def compare_options(self) -> CompareOptions:
        """Return the aspects to compare and the differences to ignore."""
        from mcprun.analysis.diff.scrub import Scrubber
        from mcprun.analysis.diff.transcripts import DEFAULT_ASPECTS, CompareOptions

        more = {name for name, is_wanted in (("text", self.text), ("usage", self.usage)) if is_wanted}
        aspects = (frozenset(self.only) or DEFAULT_ASPECTS) | more
        return CompareOptions(aspects, Scrubber.of(self.scrub, self.ignore, self.ignore_order))


@click.command(
    cls=ConfigurableCommand, only=("scrub", "ignore", "ignore_order", "alpha"), short_help="Compare two runs."
)
@click.argument("base", metavar="BASE", shell_complete=runs)
@click.argument("head", metavar="HEAD", default="latest", shell_complete=runs)
@option(
    "--text",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Also compare the model's final text",
)
@option(
    "--usage",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Also compare tokens and turns",
)
@run_options.IGNORE
@run_options.IGNORE_ORDER
@run_options.SCRUB
@run_options.ALPHA
@option(
    "--only",
    heading=Heading.OPTIONS,
    multiple=True,
    type=click.Choice(["verdict", "calls", "results", "tools", "text", "usage"]),
    metavar="ASPECT",
    help="Compare only this aspect; repeatable",
    details="Compare only this aspect: verdict, calls, results, tools, text or usage. Repeatable.",
)
@option(
    "--json",
    "as_json",
    heading=Heading.REPORTS,
    is_flag=True,
    help="Print JSON Lines: differing queries, totals",
    details="Print JSON Lines: each query that differs, then the totals.",
)
@option(
    "--markdown",
    "as_markdown",
    heading=Heading.REPORTS,
    is_flag=True,
    help="Print Markdown, for a CI job or a comment",
    details="Print Markdown, for a CI job's summary or a comment.",
)
@report_options.HTML
@click.pass_context
def diff(ctx: click.Context, /, **parameters: Any) -> None:
    """Compare two runs, query by query: verdicts, tool calls and their results.

    BASE and HEAD are runs (folders, names under outputs/, latest) or transcripts.jsonl files; HEAD defaults to the
    latest run. Times, ids, tokens and the model's final text are not compared by default.

    \b
      mcprun diff outputs/2026-11-20-090000-prompts
      mcprun diff baseline latest --scrub uuid --scrub timestamp
      mcprun diff a b --ignore 'calls[*].result.updated_at'

    Repeats of a query (--repeat) are compared as two samples: its pass rate has changed if Fisher's exact test finds
    the difference significant (--alpha). A sequence of calls that BASE never made is reported as new.

    Changed tools, coverage that fell and new tools without a query are reported as well; of these, only breaking
    changes of tools count as a difference (see mcprun tools and coverage).

    Of two routed runs (--route), the calls that the model asked for are compared, and McNemar's test shows whether the
    difference in accuracy is significant (--alpha).

    Exits with 0 if nothing differs, with 1 if something does, with 2 if the runs can't be compared.
    """
    ctx.exit(ExitCode.FAILED if _compare(_Parameters(**parameters)) else ExitCode.PASSED)


def _compare(parameters: _Parameters) -> bool:
    """Compare two runs, print and write the differences, and return whether there are any."""
    from mcprun.analysis.coverage.changes import diff_coverage
    from mcprun.analysis.diff.runs import RunDiff
    from mcprun.analysis.routing.changes import check_kinds, diff_routing
    from mcprun.analysis.volatile.findings import Findings
    from mcprun.report.console import Console
    from mcprun.report.difference_printer import DifferencePrinter
    from mcprun.runs.transcript_files import open_transcripts, repeated

    if parameters.as_json and parameters.as_markdown:
        raise click.UsageError("--json and --markdown can't be combined")
    console = Console()
    options = parameters.compare_options()
    with open_transcripts(parameters.base) as before, open_transcripts(parameters.head) as after:
        if before.is_same(after):
            raise UsageError(
                f"BASE ({parameters.base}) and HEAD ({parameters.head}) are the same run: pass another BASE, such as a"
                " baseline or an earlier run in outputs/"
            )
        are_routed = check_kinds(before, after, (parameters.base, parameters.head))
        found = Findings.between(before.run, after.run, options.scrubber)
        sides = repeated(before, after)
        files = before.stream.name, after.stream.name
        comparison = RunDiff(options, repeated=sides, alpha=parameters.alpha, observe=found.observe, files=files)
        tools, diffs = comparison.tools(before.tools, after.tools), found.watch(comparison.compare(before, after))
        if parameters.html:
            from mcprun.report.html.diff_page import Differing, write_diff

            differing = Differing(tools)
            diffs = differing.collect_rows(diffs)
        has_verdicts = "verdict" in options.aspects
        coverage = diff_coverage(before.run, after.run) if "tools" in options.aspects else None
        routing = diff_routing(before, after, parameters.alpha) if are_routed and has_verdicts else None
        DifferencePrinter(console).differences(
            diffs,
            tools,
            comparison.summary,
            parameters.form,
            found.summary,
            moved=comparison.moved,
            coverage=coverage,
            routing=routing,
        )
        if parameters.html:
            differing.volatile, differing.coverage, differing.routing = found.summary(), coverage, routing
            runs = (parameters.base, before.run), (parameters.head, after.run)
            size = write_diff(parameters.html, differing, comparison, *runs)
            click.echo(f"{parameters.html}: {size / 1000:,.1f} kB", err=True)
    for warning in options.scrubber.warnings():
        console.warning(warning)
    return comparison.summary.differ
