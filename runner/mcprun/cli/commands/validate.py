"""`mcprun validate`: check a prompts file, also against what a server has, and report its errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from mcprun.cli.configurable_command import ServerCommand, check_settings
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options import server as server_options
from mcprun.errors import ExitCode

if TYPE_CHECKING:
    from mcprun.prompts.file import PromptsFile

_SET = (*server_options.NAMES, "roots", "max_sampling", "connect_timeout", "redact")
"""Options that a project may set. The server is not one of them: without SERVER, only the file is checked."""


@click.command(cls=ServerCommand, only=_SET, first=("env",), short_help="Check a prompts file, also against a server.")
@run_options.PROMPTS
@run_options.SERVER
@server_options.reaching
@run_options.ROOT
@limit_options.MAX_SAMPLING
@limit_options.CONNECT_TIMEOUT
@run_options.REDACT
@click.pass_context
def validate(ctx: click.Context, /, **parameters: Any) -> None:
    """Check PROMPTS without running it, and print each error as FILE:LINE: field: message.

    With SERVER, also check it against what the server lists: the names of tools and their inputs in scripts and
    expectations, prompts, and resources. No tool is called. SERVER is as for mcprun batch.

    \b
      mcprun validate prompts.jsonl
      mcprun validate prompts.jsonl server.py

    Probable misspellings in a JSON Schema, patterns that match no tool, resources that are not listed, and bad inputs
    of calls that may fail are warnings.

    Exits with 0 if the file is valid, with 2 if it is not, with 3 if the server can't be reached.
    """
    from mcprun.prompts.file import read_prompts
    from mcprun.report.text import plural, visible

    check_settings(("min_coverage", "require", "waive"))
    name = parameters["prompts"]
    with read_prompts(name) as found:
        for warning in found.warnings:
            click.echo(f"Warning: {visible(warning)}", err=True)
        scripts = {0: "none", found.total: "all"}.get(found.scripted, str(found.scripted))
        server, code = _checked(found, parameters) if parameters["server"] is not None else ("", ExitCode.PASSED)
    if code is ExitCode.PASSED:
        click.echo(f"{name}: {plural(found.total, 'query')}, {scripts} with a script{server}")
    ctx.exit(code)


def _checked(prompts: PromptsFile, parameters: Mapping[str, Any]) -> tuple[str, ExitCode]:
    """Check prompts against a live server. Return what was checked against, and the exit code."""
    from mcprun.cli.arguments import options_of
    from mcprun.cli.dry_run import check_live, server_of
    from mcprun.client.connector import ConnectOptions
    from mcprun.engine.dry_run import DryRunPlan
    from mcprun.engine.server_options import client_features, resolve_server
    from mcprun.models.credentials import Credentials
    from mcprun.report.console import Console
    from mcprun.tools.toolset import ToolFilter

    options = options_of(parameters)
    target, redactor = resolve_server(parameters["server"], options, Credentials.find())
    plan = DryRunPlan(
        prompts=prompts,
        target=target,
        redactor=redactor,
        connect=ConnectOptions(
            timeout_s=options.limits.connect_seconds, protocol=options.protocol, features=client_features(options)
        ),
        permit=ToolFilter(),
    )
    result, code = check_live(plan, Console(quiet=True))
    return f"; checked against {server_of(result)}" if result else "", code
