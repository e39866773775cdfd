"""`mcprun tools`: list, lint and compare a server's tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcprun.cli.config_command import ServerCommand
from mcprun.cli.options import auth as auth_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options import server as server_options
from mcprun.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from mcprun.report.console import Console
    from mcprun.runs.run_record import ServerRecord
    from mcprun.tools.changes import ToolChange
    from mcprun.tools.lint import Finding
    from mcprun.tools.snapshot import Catalog
    from mcprun.tools.toolset import ToolSet


_SET = (
    "server", *server_options.NAMES, "roots", "max_sampling", "connect_timeout", "redact",
)  # fmt: skip
"""Options that a project may set."""


@click.command(cls=ServerCommand, only=_SET, short_help="List, lint and compare a server's tools.")
@run_options.SERVER
@server_options.reaching
@click.option("--all", "wants_all", is_flag=True, help="List prompts, resources and templates of resources as well.")
@run_options.ROOT
@run_options.MAX_SAMPLING
@click.option(
    "--snapshot", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False),
    help="Write the tools to FILE, to be committed: it does not differ unless the tools do.",
)  # fmt: skip
@click.option("--against", metavar="FILE|RUN", help="Say what changed since a snapshot, or since a run such as latest.")
@click.option(
    "--lint", "wants_lint", is_flag=True, help="Say what the API would refuse, or a model would stumble over."
)
@click.option("--strict", is_flag=True, help="Exit with 1 on any change or finding, and not only on the bad ones.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object: server, tools, what else, changes, findings.",
)
@run_options.CONNECT_TIMEOUT
@run_options.REDACT
@click.pass_context
def tools(ctx: click.Context, /, **given: Any) -> None:
    """List the tools of SERVER with their inputs; compare them with what they were, and say what is wrong with them.

    SERVER is a .py or .js file, an http(s) URL, FILE.json#name (an MCP client's configuration), or a command
    line in quotes. What follows -- is handed to the server. No model is asked, and no tool is called.

    \b
      mcprun tools server.py
      mcprun tools server.py --all
      mcprun tools server.py --snapshot tools.json
      mcprun tools server.py --against tools.json
      mcprun tools server.py --against latest --strict
      mcprun tools "npx -y @modelcontextprotocol/server-everything" --lint

    Breaking is what calls or their readers may fail by: a tool or an argument that is gone, a new required argument,
    an input that takes less, an output that promises less, an annotation that asks for more care, and what can't be
    judged. Texts and everything else are harmless.

    Exits with 0 when all is well, with 1 on a breaking change or an error of --lint, with 2 when there is nothing to
    compare with, with 3 when the server does not start, or does not give a list that --all asks for.
    """
    from mcprun.cli.signals import run_to_end
    from mcprun.client.inspect import list_all
    from mcprun.engine.plan import Options, offers_of, reach
    from mcprun.errors import ErrorKind, RunError
    from mcprun.limits import Limits
    from mcprun.models.credentials import Credentials
    from mcprun.report.console import Console
    from mcprun.tools.catalog_changes import compare_catalogs
    from mcprun.tools.changes import compare_tools
    from mcprun.tools.lint import lint
    from mcprun.tools.snapshot import read_kept, write_snapshot
    from mcprun.tools.toolset import ToolSet

    snapshot: Path | None = given["snapshot"]
    if snapshot and not snapshot.parent.is_dir():
        raise UsageError(f"there is no folder {snapshot.parent} to write {snapshot.name} to")
    asked = Options(
        env=given["env"],
        headers=given["header"],
        **{name: given[name] for name in auth_options.NAMES},
        env_files=given["env_files"],
        cwd=given["cwd"],
        python=given["python"],
        protocol=given["protocol"],
        roots=given["roots"],
        limits=Limits(max_sampling=given["max_sampling"]),
        redact=given["redact"],
        server_args=ctx.meta.get(run_options.WithServerArgs.KEY, ()),
    )
    target, redactor = reach(given["server"], asked, Credentials.find())
    before = redactor.value(read_kept(given["against"])) if given["against"] else None
    lists_all = given["wants_all"] or bool(before and before.catalog)
    console = Console(quiet=True)
    try:
        with console.progress() as progress:
            listing = list_all(
                target,
                redactor,
                given["connect_timeout"],
                progress.handle,
                asked.protocol,
                offers_of(asked),
                lists_all=lists_all,
                warns_malformed=not given["wants_lint"],  # lint findings report them
            )
            server, catalog = run_to_end(listing)
    except RunError as error:
        console.run_error(error)
        ctx.exit(ExitCode.ERROR)
    failed = list(catalog.failed.values()) if catalog else []
    if snapshot and failed:
        failed.append(f"{snapshot} is not written: a list that could not be had would read as empty")
        snapshot = None
    elif snapshot:
        write_snapshot(snapshot, server, catalog)
    tools = ToolSet.of(server.tools, server.malformed)
    changes = compare_tools(before.tools, server.tools) if before else None
    if before and before.catalog and catalog and changes is not None:
        changes += compare_catalogs(before.catalog, catalog)
    findings = lint(tools) if given["wants_lint"] else None
    _tell(console, server, tools, catalog, changes, findings, snapshot, as_json=given["as_json"])
    for message in failed:
        console.run_error(RunError(ErrorKind.BAD_TOOLS, message))
    bad = [*(change.breaking for change in changes or ()), *(one.severity == "error" for one in findings or ())]
    is_bad = any(bad) or (given["strict"] and bad)
    ctx.exit(ExitCode.FAILED if is_bad else ExitCode.ERROR if failed else ExitCode.PASSED)


def _tell(
    console: Console,
    server: ServerRecord,
    tools: ToolSet,
    catalog: Catalog | None,
    changes: list[ToolChange] | None,
    findings: list[Finding] | None,
    snapshot: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print what was requested, or the list of tools if nothing was."""
    from mcprun.report import catalog as catalog_report
    from mcprun.report import tools as tool_report

    if as_json:
        console.json(tool_report.as_json(server, tools, catalog, changes, findings))
        return
    if changes is None and findings is None and snapshot is None:
        console.lines(tool_report.listed(server, tools, console.width))
        if catalog:
            console.lines(catalog_report.listed(catalog, console.width))
    if findings is not None:
        console.lines(tool_report.found(findings, tools))
    if changes is not None:
        console.lines(tool_report.changed(changes, is_whole=not (catalog and catalog.failed)))
    if snapshot is not None:
        more = f", {catalog_report.counted(catalog)}" if catalog else ""
        console.lines([tool_report.totals(tools, f"{snapshot}: ", more)])
