"""`mcprun report`: write reports of a run."""

from __future__ import annotations

from pathlib import Path

import click

from mcprun.cli import options


@click.command(short_help="Write reports of a run.")
@click.argument("run", metavar="[RUN]", default="latest")
@options.HTML
def report(run: str, html: Path | None) -> None:
    """Write reports of RUN: a run's folder, its name under outputs/, or latest, which is meant where it is left out.

    \b
      mcprun report --html report.html
    """
    from mcprun.report.html import report as report_page
    from mcprun.report.page import write_page
    from mcprun.rundir import Run

    if html is None:
        raise click.UsageError("which report? give --html FILE")
    found = Run.read(run)
    size = write_page(html, report_page(found))
    click.echo(f"{html}: {found.path}, {size / 1000:,.1f} kB")
