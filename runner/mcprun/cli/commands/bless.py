"""`mcprun bless`: accept a run as the baseline."""

from __future__ import annotations

from pathlib import Path

import click

from mcprun.cli.completion import files, runs
from mcprun.cli.options.option import Heading, option
from mcprun.cli.usage_errors import DiscreetCommand


@click.command(cls=DiscreetCommand, short_help="Make a run the baseline.")
@click.argument("run", metavar="RUN", shell_complete=runs)
@click.argument("baseline", metavar="BASELINE", shell_complete=files)
@option(
    "--slim",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Keep only what comparisons need",
    details="Keep only what comparisons need; a slim baseline can't be replayed.",
)
@option(
    "--force",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Accept errors and missing queries",
    details="Accept a run that has errors, is unfinished, or lacks queries of the baseline.",
)
def bless(run: str, baseline: str, slim: bool, force: bool) -> None:
    """Make RUN the BASELINE: a folder with its transcripts, small enough to commit.

    Replaces an existing baseline, unless it has queries that RUN lacks (--force drops them). No other command
    changes a baseline.

    \b
      mcprun bless latest baseline
      mcprun batch prompts.jsonl server.py -m replay:baseline --baseline baseline
    """
    from mcprun.runs.baseline import bless as bless_run
    from mcprun.runs.run import Run

    found = Run.read(run)
    size = bless_run(found, Path(baseline), slim=slim, force=force)
    queries = found.record.counts.queries if found.record.counts else 0
    click.echo(f"{baseline}: {queries:,} transcripts of {found.path}, {size / 1000:,.1f} kB")
