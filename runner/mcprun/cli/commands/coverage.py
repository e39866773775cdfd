"""`mcprun coverage`: report what runs have exercised of a server's surface."""

from __future__ import annotations

from typing import Any

import click

from mcprun.cli.completion import runs
from mcprun.cli.configurable_command import ConfigurableCommand
from mcprun.cli.options import run as run_options
from mcprun.cli.options.option import Heading, option

_NAME = 60
"""Maximum characters of a server's name in a warning."""


@click.command(
    cls=ConfigurableCommand,
    only=("min_coverage", "require", "waive"),
    short_help="Report the tools and arguments that runs exercise.",
)
@click.argument("names", metavar="[RUN]...", nargs=-1, shell_complete=runs)
@run_options.MIN_COVERAGE
@run_options.REQUIRE
@run_options.WAIVE
@option(
    "--json",
    "as_json",
    heading=Heading.REPORTS,
    is_flag=True,
    help="Print JSON",
    details="Print a JSON object: shares, each tool with its arguments and values, and the gates.",
)
@option(
    "--markdown",
    "as_markdown",
    heading=Heading.REPORTS,
    is_flag=True,
    help="Print Markdown, for a CI job or a comment",
    details="Print Markdown, for a CI job's summary or a comment.",
)
@click.pass_context
def coverage(ctx: click.Context, /, names: tuple[str, ...], **parameters: Any) -> None:
    """Report which tools, arguments, and enum and boolean values of a server the calls of RUNs have exercised.

    RUN is a run's folder, its name under outputs/, or latest (the default). Several runs add up. A tool is covered if
    a call reached it and returned without error. Tools are those that the server lists, before --allow-tool and
    --deny-tool.

    \b
      mcprun coverage
      mcprun coverage outputs/smoke outputs/nightly
      mcprun coverage latest --min-coverage 0.9 --waive 'admin_*'
      mcprun coverage latest --require refund

    Exits with 0 if the gates are met, with 1 if they are not, with 2 if a run can't be read.
    """
    from mcprun.analysis.coverage.gates import CoverageGates, evaluate_gates
    from mcprun.analysis.coverage.measure import measure_coverage
    from mcprun.errors import ExitCode
    from mcprun.report.console import Console
    from mcprun.report.coverage import rows
    from mcprun.report.text import one_line
    from mcprun.runs.directory import LATEST
    from mcprun.runs.run import Run

    if parameters["as_json"] and parameters["as_markdown"]:
        raise click.UsageError("--json and --markdown can't be combined")
    gates = CoverageGates(parameters["min_coverage"], tuple(parameters["require"]), tuple(parameters["waive"]))
    console = Console()
    by_path = {run.path.resolve(): run for run in map(Run.read, names or (LATEST,))}
    read = [*by_path.values()]
    for run in read:
        if run.record.state != "finished":
            console.warning(f"{run.path} has not finished: its other queries may cover more")
    servers = dict.fromkeys(run.record.server.name for run in read if run.record.server and run.record.server.name)
    if len(servers) > 1:
        found_names = ", ".join(one_line(name or "", _NAME) for name in servers)
        console.warning(f"the runs are of different servers, whose tools are added up: {found_names}")
    found = measure_coverage(read)
    result = evaluate_gates(found, gates)
    if parameters["as_json"]:
        console.json(found.as_json() | {"gates": gates.as_json(result)})
    elif parameters["as_markdown"]:
        from mcprun.report.coverage_markdown import markdown

        console.text(markdown(found, gates, result))
    else:
        console.lines(rows(found, gates, result, console.width))
    ctx.exit(ExitCode.FAILED if result.failures else ExitCode.PASSED)
