"""`mcprun init`: generate a first prompts file and a workflow from a server's tools."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcprun._util.operating_system import relative_path
from mcprun.cli.argument_sources import Source
from mcprun.cli.configurable_command import ServerCommand, require
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options.option import Heading, option
from mcprun.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mcprun._util.json_value import JsonObject
    from mcprun.cli.argument_sources import Arguments
    from mcprun.cli.commands.init.github_workflow import Next
    from mcprun.client.target import Target
    from mcprun.engine.plan import Options
    from mcprun.report.progress import ProgressReporter
    from mcprun.runs.events import Event
    from mcprun.runs.redaction import Redactor


@click.command(
    cls=ServerCommand,
    only=("server", "env", "header", "connect_timeout", "call_timeout", "max_call_timeout", "redact"),
    short_help="Generate a prompts file from a server's tools.",
)
@run_options.SERVER
@run_options.ENV
@run_options.HEADER
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
    "--force",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Replace existing files",
)
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

    Exits with 0 if the files are written, with 2 if one exists already or no tool matches, with 3 if the server does
    not start.
    """
    from mcprun.cli.commands.init.github_workflow import WORKFLOW, installs_of, root_of, workflow
    from mcprun.cli.commands.init.summary import Summary
    from mcprun.cli.commands.init.trial import run_trial
    from mcprun.cli.signals import run_to_end
    from mcprun.client.connector import ConnectOptions
    from mcprun.client.inspect import list_server
    from mcprun.engine.plan import Options, resolve_server
    from mcprun.errors import RunError
    from mcprun.limits import Limits
    from mcprun.models.credentials import Credentials
    from mcprun.prompts.generate import generate_prompts
    from mcprun.report.console import Console
    from mcprun.report.write import write_bytes

    require(ctx.obj, "server")
    prompts: Path = parameters["prompts"]
    here = Path.cwd()
    root = root_of(here)
    workflow_path = parameters["workflow"] or Path(relative_path(root / WORKFLOW))
    file: Path | None = None if parameters["no_workflow"] else workflow_path
    for path in filter(None, (prompts, file)):
        if os.path.lexists(path) and not parameters["force"]:
            raise UsageError(f"{path} already exists: use --force to replace it")
    base_options = Options(
        env=parameters["env"],
        headers=parameters["header"],
        redact=parameters["redact"],
        server_args=parameters["server_args"],
        limits=Limits(
            connect_seconds=parameters["connect_timeout"],
            call_seconds=parameters["call_timeout"],
            max_call_seconds=parameters["max_call_timeout"],
        ),
    )
    target, redactor = resolve_server(parameters["server"], base_options, Credentials.find())
    commands = _commands(ctx.obj, str(prompts), base_options, redactor)
    text = workflow(commands.there, installs_of(here), here.relative_to(root).as_posix()) if file else ""
    console = Console(quiet=True)
    try:
        with console.progress() as progress:
            options = ConnectOptions(timeout_s=parameters["connect_timeout"])
            server = run_to_end(list_server(target, redactor, options, progress.handle))
        first = generate_prompts(server.tools, parameters["patterns"], is_destructive_wanted=parameters["destructive"])
        if not first.queries:
            raise UsageError(_nothing(target, server.tools, first.left_out))
        if parameters["wants_trial"]:
            with Console().progress() as progress:
                first = run_to_end(run_trial(first, parameters["server"], base_options, _report_trial_event(progress)))
    except RunError as error:
        console.run_error(error)
        ctx.exit(ExitCode.ERROR)
    write_bytes(prompts, first.lines)
    if file:
        write_bytes(file, text.encode())
    console.lines(Summary(server, first, prompts, file, commands, parameters["wants_trial"]).lines())


def _commands(arguments: Arguments, prompts: str, requested: Options, redactor: Redactor) -> Next:
    """Return the commands to run next, without secrets and without options that are set here or in the project."""
    from mcprun._util.url_secrets import without_secrets
    from mcprun.cli.commands.init.github_workflow import Commands, Next

    server = arguments.values["server"]
    is_url = server.lower().startswith(("http://", "https://"))
    name, *args = map(redactor.text, (without_secrets(server) if is_url else server, *requested.server_args))
    values_by_key = {"server_args": args, "env": list(requested.env), "header": list(requested.headers)}

    def with_these(wanted: Iterable[str]) -> Commands:
        return Commands(prompts, name, *(values if key in wanted else [] for key, values in values_by_key.items()))

    here = with_these([key for key in values_by_key if arguments.is_given(key)])
    values = [*(requested.env.values() if here.env else ()), *(requested.headers.values() if here.headers else ())]
    unset = [name for name, value in zip(here.secrets, values, strict=True) if os.environ.get(name) != value]
    return Next(here, with_these([key for key in values_by_key if arguments.source(key) is not Source.FILE]), unset)


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
