"""`mcprun merge`: merge the shards of a run into one run."""

from __future__ import annotations

from typing import Any

import click

from mcprun.cli.completion import runs
from mcprun.cli.options import report as report_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options.option import Heading, option
from mcprun.cli.usage_errors import DiscreetCommand


@click.command(cls=DiscreetCommand, first=("out",), short_help="Merge the shards of a run into one run.")
@click.argument("shards", metavar="SHARD...", nargs=-1, required=True, shell_complete=runs)
@run_options.OUT
@option(
    "--partial",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Accept missing and unfinished shards",
)
@report_options.reports
@click.pass_context
def merge(ctx: click.Context, /, shards: tuple[str, ...], out: str | None, partial: bool, **parameters: Any) -> None:
    """Merge SHARDs into one run, as if one machine had run all queries.

    Each SHARD is a run of batch --shard I/N, with the same prompts file, the same model, and a server with the same
    tools. Shards are not changed. The result is a run like any other, to report, diff, bless or replay.

    \b
      mcprun batch prompts.jsonl server.py --shard 1/2 --out one
      mcprun batch prompts.jsonl server.py --shard 2/2 --out two
      mcprun merge one two --junit junit.xml

    Exits like batch: with 1 if something failed, with 3 if something is missing or ended in an error, with 2 if these
    are not the shards of one run.
    """
    from mcprun.cli.reports import Reports
    from mcprun.engine.merge import merge as merge_runs
    from mcprun.errors import ExitCode
    from mcprun.report.console import Console
    from mcprun.report.difference_printer import DifferencePrinter
    from mcprun.report.run_printer import RunPrinter
    from mcprun.runs.run import Run

    reports = Reports.of(parameters)
    console = Console(is_stdout_taken=reports.take_stdout)
    run = merge_runs([Run.read(name) for name in shards], out, partial=partial)
    console.summary(run)
    if run.record.state != "finished":
        console.print_resume_command(run)
    DifferencePrinter(console).baseline(run)
    code = run.record.exit_code
    is_reported = reports.written(run)
    RunPrinter(console).outcome(run, is_reported=is_reported)
    if not is_reported and code == ExitCode.PASSED:
        code = ExitCode.ERROR
    ctx.exit(code)
