"""Print the check of prompts against a live server, for `mcprun validate PROMPTS SERVER` and `batch --dry-run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mcprun.errors import ExitCode, RunError

if TYPE_CHECKING:
    from mcprun.engine.dry_run import DryRun, DryRunPlan
    from mcprun.report.console import Console


def check_live(plan: DryRunPlan, console: Console) -> tuple[DryRun | None, ExitCode]:
    """Check the prompts and print each problem and warning.

    Return the result, None if the server can't be reached, and the exit code.
    """
    from mcprun.cli.signals import run_to_end
    from mcprun.report.text import visible

    with console.progress() as progress:
        try:
            result = run_to_end(plan.check(progress.handle))
        except RunError as error:
            console.run_error(error)
            return None, ExitCode.ERROR
    for warning in result.warnings:
        console.warning(warning)
    for problem in result.problems:
        click.echo(visible(problem), err=True)
    return result, ExitCode.USAGE if result.problems else ExitCode.PASSED


def server_of(result: DryRun) -> str:
    """Return a server's name, version and number of tools."""
    from mcprun.report.text import plural, visible

    server = result.server
    name = " ".join(filter(None, (server.name, server.version))) or "the server"
    return visible(f"{name} ({plural(len(server.tools), 'tool')})")
