"""`mcprun tools`: list, lint and compare a server's tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcprun.cli.configurable_command import ServerCommand, require
from mcprun.cli.options import auth as auth_options
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options import server as server_options
from mcprun.cli.options.option import Heading, option
from mcprun.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from mcprun.engine.options import Options
    from mcprun.report.console import Console
    from mcprun.runs.run_record import ServerRecord
    from mcprun.tools.changes import ToolChange
    from mcprun.tools.lint import Finding
    from mcprun.tools.snapshot import Catalog
    from mcprun.tools.toolset import ToolSet


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The parameters of the command, except those for starting or connecting to the server."""

    server: str
    wants_all: bool
    snapshot: Path | None
    against: str | None
    wants_lint: bool
    strict: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Inspection:
    """The lists of a server, and their changes and lint findings, which are None if they were not requested."""

    server: ServerRecord
    tools: ToolSet
    catalog: Catalog | None
    changes: list[ToolChange] | None
    findings: list[Finding] | None

    def is_bad(self, *, strict: bool) -> bool:
        """Return whether a change is breaking or a finding is an error; with `strict`, whether there are any."""
        is_bad = [change.breaking for change in self.changes or ()]
        is_bad += [finding.severity == "error" for finding in self.findings or ()]
        return bool(is_bad) if strict else any(is_bad)


_SET = (
    "server", *server_options.NAMES, "roots", "max_sampling", "connect_timeout", "redact",
)  # fmt: skip
"""Options that a project may set."""


@click.command(cls=ServerCommand, only=_SET, short_help="List, lint and compare a server's tools.")
@run_options.SERVER
@server_options.reaching
@option(
    "--all",
    "wants_all",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Also list prompts, resources and templates",
    details="Also list prompts, resources and resource templates.",
)
@run_options.ROOT
@limit_options.MAX_SAMPLING
@option(
    "--snapshot",
    heading=Heading.OPTIONS,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the tools to FILE, to be committed",
    details="Write the tools to FILE, to be committed; it changes only if the tools do.",
)
@option(
    "--against",
    heading=Heading.OPTIONS,
    metavar="FILE|RUN",
    help="Report changes since a snapshot or a run",
    details="Report changes since a snapshot, or since a run such as latest.",
)
@option(
    "--lint",
    "wants_lint",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Report what APIs reject or models misunderstand",
    details="Report what the API would reject, or a model would misunderstand.",
)
@option(
    "--strict",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Exit with 1 on any change or finding",
    details="Exit with 1 on any change or finding, not only on breaking changes and errors.",
)
@option(
    "--json",
    "as_json",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Print one JSON object",
    details="Print one JSON object: server, tools, other lists, changes, findings.",
)
@limit_options.CONNECT_TIMEOUT
@run_options.REDACT
@click.pass_context
def tools(ctx: click.Context, /, **parameters: Any) -> None:
    """List the tools of SERVER with their inputs, compare them with earlier ones, and lint them.

    SERVER is a .py or .js file, an http(s) URL, FILE.json#name (an MCP client's configuration), or a command
    line in quotes. Arguments after -- are passed to the server. No model is used, and no tool is called.

    \b
      mcprun tools server.py
      mcprun tools server.py --all
      mcprun tools server.py --snapshot tools.json
      mcprun tools server.py --against tools.json
      mcprun tools server.py --against latest --strict
      mcprun tools "npx -y some-server" --lint

    A change is breaking if it may break callers: a removed tool or argument, a new required argument, an input that
    accepts less, an output that guarantees less, an annotation that calls for more care, or a change that can't be
    classified. Changed descriptions and all others are harmless.

    Exits with 0 if there is nothing to report, with 1 on a breaking change or a --lint error, with 2 if there is
    nothing to compare with, with 3 if the server does not start or fails to return a list.
    """
    from mcprun.errors import ErrorKind, RunError
    from mcprun.report.console import Console

    require(ctx.obj, "server")
    requested = _Parameters(**{field.name: parameters[field.name] for field in fields(_Parameters)})
    if requested.snapshot and not requested.snapshot.parent.is_dir():
        raise UsageError(f"can't write {requested.snapshot}: there is no folder {requested.snapshot.parent}")
    console = Console(quiet=True)
    try:
        inspection = _inspect(requested, _options(parameters), console)
    except RunError as error:
        console.run_error(error)
        ctx.exit(ExitCode.ERROR)
    failed = list(inspection.catalog.failed.values()) if inspection.catalog else []
    if requested.snapshot and failed:
        failed.append(f"{requested.snapshot} was not written: a list that failed would look like an empty one")
    elif requested.snapshot:
        from mcprun.tools.snapshot import write_snapshot

        write_snapshot(requested.snapshot, inspection.server, inspection.catalog)
    _print(inspection, requested, console)
    for message in failed:
        console.run_error(RunError(ErrorKind.BAD_TOOLS, message))
    is_bad = inspection.is_bad(strict=requested.strict)
    ctx.exit(ExitCode.FAILED if is_bad else ExitCode.ERROR if failed else ExitCode.PASSED)


def _options(parameters: Mapping[str, Any]) -> Options:
    """Return the options for starting or connecting to the server."""
    from mcprun.engine.options import Options
    from mcprun.limits import Limits

    same = (*auth_options.NAMES, "env", "env_files", "cwd", "python", "protocol", "roots", "redact", "server_args")
    limits = Limits(max_sampling=parameters["max_sampling"], connect_seconds=parameters["connect_timeout"])
    return Options(headers=parameters["header"], limits=limits, **{name: parameters[name] for name in same})


def _inspect(requested: _Parameters, options: Options, console: Console) -> _Inspection:
    """List, compare and lint the server's tools as requested. Raises `RunError` if they can't be listed."""
    from mcprun.cli.signals import run_to_end
    from mcprun.client.connector import ConnectOptions
    from mcprun.client.inspect import list_all
    from mcprun.engine.server_options import client_features, resolve_server
    from mcprun.models.credentials import Credentials
    from mcprun.tools.catalog_changes import compare_catalogs
    from mcprun.tools.changes import compare_tools
    from mcprun.tools.lint import lint
    from mcprun.tools.snapshot import read_snapshot
    from mcprun.tools.toolset import ToolSet

    target, redactor = resolve_server(requested.server, options, Credentials.find())
    before = redactor.value(read_snapshot(requested.against)) if requested.against else None
    with console.progress() as progress:
        listing = list_all(
            target,
            redactor,
            ConnectOptions(
                timeout_s=options.limits.connect_seconds, protocol=options.protocol, features=client_features(options)
            ),
            progress.handle,
            lists_all=requested.wants_all or bool(before and before.catalog),
            warns_malformed=not requested.wants_lint,  # lint findings report them
        )
        server, catalog = run_to_end(listing)
    tools = ToolSet.of(server.tools, server.malformed)
    changes = compare_tools(before.tools, server.tools) if before else None
    if before and before.catalog and catalog and changes is not None:
        changes += compare_catalogs(before.catalog, catalog)
    return _Inspection(server, tools, catalog, changes, lint(tools) if requested.wants_lint else None)


def _print(inspection: _Inspection, requested: _Parameters, console: Console) -> None:
    """Print the requested output, or the list of tools if nothing was requested."""
    from mcprun.report import catalog as catalog_report
    from mcprun.report import tools as tool_report

    tools, catalog = inspection.tools, inspection.catalog
    is_whole = not (catalog and catalog.failed)
    if requested.as_json:
        console.json(tool_report.as_json(inspection.server, tools, catalog, inspection.changes, inspection.findings))
        return
    is_written = requested.snapshot is not None and is_whole
    if inspection.changes is None and inspection.findings is None and not is_written:
        console.lines(tool_report.tool_rows(inspection.server, tools, console.width))
        if catalog:
            console.lines(catalog_report.catalog_rows(catalog, console.width))
    if inspection.findings is not None:
        console.lines(tool_report.finding_lines(inspection.findings, tools))
    if inspection.changes is not None:
        console.lines(tool_report.change_lines(inspection.changes, is_whole=is_whole))
    if is_written:
        more = f", {catalog_report.format_counts(catalog)}" if catalog else ""
        console.lines([tool_report.totals(tools, f"{requested.snapshot}: ", more)])
