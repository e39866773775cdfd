"""`mcprun init`: generate a first prompts file and a workflow from a server's tools."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcprun.cli.argument_sources import Source
from mcprun.cli.configurable_command import ServerCommand, require
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options import server as server_options
from mcprun.cli.options.option import Heading, option
from mcprun.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mcprun._util.json_value import JsonObject
    from mcprun.client.target import Target
    from mcprun.engine.options import Options
    from mcprun.report.console import Console
    from mcprun.report.progress import ProgressReporter
    from mcprun.runs.events import Event
    from mcprun.runs.run_record import ServerRecord


_SET = (
    "server", *server_options.NAMES, "roots", "elicit", "max_sampling", "connect_timeout", "call_timeout",
    "max_call_timeout", "redact", "scratch",
)  # fmt: skip
"""Options that a project may set."""


@click.command(cls=ServerCommand, only=_SET, short_help="Generate a prompts file from a server's tools.")
@run_options.SERVER
@option(
    "--try",
    "wants_trial",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Call each tool, so that the first run passes",
    details="Call each tool twice, and allow the errors it returns, so that the first run passes.",
)
@option(
    "--prompts",
    heading=Heading.OPTIONS,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default="prompts.jsonl",
    help="File to write the queries to",
    default_text="prompts.jsonl",
)
@option(
    "--tool",
    "patterns",
    heading=Heading.OPTIONS,
    multiple=True,
    metavar="PATTERN",
    help="Write queries only for these tools; repeatable",
    details="Write queries only for tools whose names match, such as 'read_*'. Repeatable.",
)
@option(
    "--destructive",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Also write queries for destructive tools",
    details="Also write queries for tools that are annotated as destructive.",
)
@option(
    "--workflow",
    heading=Heading.OPTIONS,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write a GitHub Actions workflow to",
    details="File to write a GitHub Actions workflow to, which runs the queries on each push.",
    default_text=".github/workflows/mcprun.yml at the root of the repository",
)
@option(
    "--no-workflow",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Write no workflow",
)
@option(
    "--install-from",
    heading=Heading.OPTIONS,
    metavar="REQUIREMENT",
    help="What the workflow installs mcprun from",
    details="What the workflow installs mcprun from, such as git+https://github.com/OWNER/mcprun@COMMIT.",
    default_text="where this mcprun was installed from",
)
@option(
    "--force",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Replace existing files",
)
@server_options.reaching
@option(
    "--scratch/--no-scratch",
    heading=Heading.SERVER,
    default=False,
    help="Start each server in a new folder",
    details="Start each server in a new folder, which is deleted afterwards.",
    default_text="if it starts there",
)
@run_options.ROOT
@run_options.ELICIT
@limit_options.MAX_SAMPLING
@limit_options.CONNECT_TIMEOUT
@limit_options.CALL_TIMEOUT
@limit_options.MAX_CALL_TIMEOUT
@run_options.REDACT
@click.pass_context
def init(ctx: click.Context, /, **parameters: Any) -> None:
    """Generate a prompts file for SERVER: for each tool a query and its script, with an input made from the schema.

    SERVER is a .py or .js file, an http(s) URL, FILE.json#name (an MCP client's configuration), or a command
    line in quotes. Arguments after -- are passed to the server. No model is used; tools are called only with --try.

    \b
      mcprun init server.py
      mcprun init server.py --try
      mcprun init server.py --prompts tests/prompts.jsonl --no-workflow
      mcprun init "npx -y some-server" --tool 'get-*' --force

    Tools that are annotated as destructive (destructiveHint) are left out, unless --destructive is given. Tools
    without annotations are included, because most have none: review the calls before you run them.

    With --try, queries that do not work are also tried with other inputs, and after calls that make what they need.
    Values that differ between tries are masked by settings for scrub, ignore and ignore-order.

    Tries, the printed commands and the workflow run the queries under the same conditions, which are written to
    mcprun.toml: one at a time, each on a new server. A server that mcprun starts gets a new folder to work in, with the
    sample files. Use --no-scratch for one that needs the files of the current folder. outputs/ is
    added to .gitignore, so that runs are not committed.

    Exits with 0 if the files are written, with 1 if none of the tried queries works, with 2 if a file exists already or
    no tool matches, with 3 if the server does not start.
    """
    from mcprun.cli.arguments import options_of
    from mcprun.cli.commands.init.files import Files
    from mcprun.cli.commands.init.masking import Masked, find_masked, without_unstable
    from mcprun.cli.commands.init.next_commands import next_commands
    from mcprun.cli.commands.init.settings import Settings
    from mcprun.cli.commands.init.summary import Summary
    from mcprun.cli.commands.init.trial import Trial
    from mcprun.cli.signals import run_to_end
    from mcprun.client.target import can_use_scratch, server_folder
    from mcprun.config.project import find_config
    from mcprun.engine.server_options import resolve_server
    from mcprun.errors import RunError
    from mcprun.models.credentials import Credentials
    from mcprun.prompts.generate import generate_prompts
    from mcprun.report.console import Console

    require(ctx.obj, "server")
    files = Files.of(parameters, find_config())
    options, wanted = options_of(parameters), parameters["server"]
    target, redactor = resolve_server(wanted, options, Credentials.find())
    files.workflow_text(next_commands(ctx.obj, [], redactor.text).there)  # before anything is started
    console = Console(quiet=True)
    try:
        replaced = (Source.FILE,) if files.settings else ()
        may_choose = ctx.obj.source("scratch") in (Source.DEFAULT, *replaced) and can_use_scratch(target)
        options, server, why_here = _listed(
            wanted, replace(options, scratch=options.scratch or may_choose), console, may_choose
        )
        first = generate_prompts(server.tools, parameters["patterns"], is_destructive_wanted=parameters["destructive"])
        if not first.queries:
            raise UsageError(_nothing(target, server.tools, first.left_out))
        tries, masked = None, Masked()
        if parameters["wants_trial"]:
            with Console().progress() as progress:
                trial = Trial(wanted, options, server_folder(target), _report_trial_event(progress))
                tries = run_to_end(trial.run(first), trial.stop.handle)
            masked = find_masked(tries, files.config.values, datetime.now(UTC))
            first = without_unstable(tries.first, masked)
            if not first.queries:
                name, why = next(iter(masked.unstable.items()))
                raise UsageError(f"no query is left to write; {name}: its result differs in each try: {why}")
    except RunError as error:
        console.run_error(error)
        ctx.exit(ExitCode.ERROR)
    env = () if ctx.obj.source("env") is Source.FILE and not files.settings else sorted(ctx.obj.values["env"])
    needed = Settings.of(scratch=options.scratch, env=env, rules=masked.settings)
    missing = needed.missing(files.config.values)
    commands = next_commands(ctx.obj, [] if files.settings else missing.flags, redactor.text)
    others = files.write(first.content(str(files.prompts)), needed, commands.there)
    summary = Summary(
        server,
        first,
        files,
        commands,
        missing,
        tries.working if tries else None,
        masked,
        options.scratch,
        others,
        why_here,
    )
    console.lines(summary.lines())
    if tries and not tries.working:
        ctx.exit(ExitCode.FAILED)


def _listed(server: str, options: Options, console: Console, may_choose: bool) -> tuple[Options, ServerRecord, str]:
    """List the tools of a server, and return its record with the options that it was started with.

    With `may_choose`, a server that does not start in a new folder is started in the current one. The last item is the
    reason, if it was.
    Raises `RunError`.
    """
    from mcprun.cli.signals import run_to_end
    from mcprun.client.connector import ConnectOptions
    from mcprun.client.inspect import list_server
    from mcprun.engine.server_options import client_features, resolve_server
    from mcprun.errors import ErrorKind, RunError
    from mcprun.models.credentials import Credentials

    connecting = ConnectOptions(
        timeout_s=options.limits.connect_seconds, protocol=options.protocol, features=client_features(options)
    )
    target, redactor = resolve_server(server, options, Credentials.find())
    try:
        with console.progress() as progress:
            return options, run_to_end(list_server(target, redactor, connecting, progress.handle)), ""
    except RunError as error:
        written = [line for line in error.stderr.splitlines() if line.strip() and not line.startswith("[")]
        why = f"{error}: {written[-1].strip()}" if written else str(error)
        if not (may_choose and options.scratch) or error.kind is ErrorKind.CANCELLED:
            raise
    options, record, _ = _listed(server, replace(options, scratch=False), console, may_choose=False)
    return options, record, why


def _report_trial_event(progress: ProgressReporter) -> Callable[[Event], None]:
    """Return a handler that shows the progress of a trial.

    Other events refer to the trial's files, which are deleted with it, or were reported when the tools were listed.
    """
    from mcprun.runs.events import QueryEnd, RunStart

    def watch(event: Event) -> None:
        if isinstance(event, RunStart | QueryEnd):
            progress.handle(event)

    return watch


def _nothing(target: Target, tools: Sequence[JsonObject], left_out: Mapping[str, str]) -> str:
    """Return why there is no query to write."""
    if not tools:
        return f"{target} has no tools to write queries for"
    if left_out:
        return f"all matching tools are left out: {next(iter(left_out.values()))}"
    return f"no tool of {target} matches --tool; list them with: mcprun tools"
