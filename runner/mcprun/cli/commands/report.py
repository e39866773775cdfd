"""`mcprun report`: write reports of a run."""

from __future__ import annotations

from typing import Any

import click

from mcprun.cli.completion import runs
from mcprun.cli.options import report as report_options
from mcprun.cli.usage_errors import DiscreetCommand


@click.command(
    cls=DiscreetCommand, first=(*report_options.REPORT_FORMS, "github"), short_help="Write reports of a run."
)
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=runs)
@report_options.reports
def report(run: str, **parameters: Any) -> None:
    """Write reports of RUN: a run's folder, its name under outputs/, or latest (the default).

    Without options, print the totals, like batch at its end. batch has the same options, and writes its reports
    however the run ends.

    \b
      mcprun report
      mcprun report --html report.html
      mcprun report latest --junit junit.xml --markdown summary.md
      mcprun report outputs/2026-11-20-090000-prompts --csv - | head
    """
    from mcprun.cli.reports import Reports
    from mcprun.report.console import Console
    from mcprun.report.run_printer import RunPrinter
    from mcprun.runs.run import Run

    found = Run.read(run)
    reports = Reports.of(parameters)
    if not reports.files:
        Console().summary(found)
    reports.write(found)
    if not reports.files:
        RunPrinter(Console()).outcome(found)
