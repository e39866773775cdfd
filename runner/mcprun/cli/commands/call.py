"""`mcprun call`: call one tool of a server, print the result, and save the call as a query."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcprun.cli.completion import files
from mcprun.cli.configurable_command import ServerCommand, require
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options import server as server_options
from mcprun.cli.options.option import Heading, option
from mcprun.errors import ExitCode, RunError, UsageError

if TYPE_CHECKING:
    from mcprun.engine.single_call import SingleCall, SingleCalls
    from mcprun.prompts.append import PromptsAppender
    from mcprun.report.console import Console

_SET = (
    "server", *server_options.NAMES, "elicit", "roots", "redact", "max_sampling", "max_result_bytes", "connect_timeout",
    "call_timeout", "max_call_timeout",
)  # fmt: skip
"""Options that a project may set."""


@click.command(
    cls=ServerCommand,
    only=_SET,
    first=("save", "query_id", "folder", "as_json", "env", "elicit"),
    short_help="Call one tool of a server and print the result.",
)
@run_options.SERVER
@click.argument("tool", metavar="[TOOL]", required=False)
@click.argument("arguments", metavar="[JSON | KEY=VALUE]...", nargs=-1)
@option(
    "--save",
    heading=Heading.OPTIONS,
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    shell_complete=files,
    help="Append the call to a prompts file as a query",
    details="Append the call to a prompts file as a query, with a script and the result as its expectation. What looks"
    " volatile in the result is left out.",
)
@option(
    "--id",
    "query_id",
    heading=Heading.OPTIONS,
    metavar="ID",
    help="Id of the query that --save appends",
    default_text="the tool's name",
)
@option(
    "--files",
    "folder",
    heading=Heading.OPTIONS,
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder for images and other binary content",
    details="Folder in which images, audio and other binary content are saved.",
    default_text="the current one",
)
@option(
    "--json",
    "as_json",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Print the result as the server sent it",
    details="Print the result as one JSON object, as the server sent it.",
)
@server_options.reaching
@run_options.ELICIT
@run_options.ROOT
@limit_options.MAX_SAMPLING
@limit_options.MAX_RESULT_BYTES
@limit_options.CONNECT_TIMEOUT
@limit_options.CALL_TIMEOUT
@limit_options.MAX_CALL_TIMEOUT
@run_options.REDACT
@click.pass_context
def call(ctx: click.Context, /, **parameters: Any) -> None:
    """Call TOOL of SERVER and print the result. Without TOOL, list the tools.

    SERVER is a .py or .js file, an http(s) URL, FILE.json#name (an MCP client's configuration), or a command
    line in quotes. Arguments after -- are passed to the server. No model is used.

    \b
      mcprun call server.py
      mcprun call server.py add a=2 b=3
      mcprun call server.py search tags=food tags=new options.exact=true
      mcprun call server.py add '{"a": 2, "b": 3}' --save prompts.jsonl

    KEY=VALUE is converted to the type in the tool's schema. A key that takes a list may be repeated, and KEY.INNER
    sets a key of an object. - reads a JSON object from stdin.

    Exits with 0 if the call succeeds, with 1 if its result is an error, with 2 for an unknown tool or bad arguments,
    with 3 if the server can't be reached or ends before it answers.
    """
    from mcprun.report.console import Console

    require(ctx.obj, "server")
    console = Console(quiet=True)
    if parameters["tool"] is None:
        _check_alone(parameters)
        ctx.exit(_list_tools(parameters, console))
    appender = _appender(parameters)
    try:
        made = _made(parameters, console)
    except RunError as error:
        console.run_error(error)
        ctx.exit(ExitCode.ERROR)
    _print(made, parameters, console)
    if made.is_error:
        how = f" ({made.problem})" if made.problem else ""
        console.error(f"{parameters['tool']} returned an error{how}")
    if appender:
        _save(made, appender, parameters, console)
    ctx.exit(ExitCode.FAILED if made.is_error else ExitCode.PASSED)


def _check_alone(parameters: Mapping[str, Any]) -> None:
    for name, flag in (("save", "--save"), ("query_id", "--id")):
        if parameters[name]:
            raise UsageError(f"{flag} needs a TOOL to call")


def _list_tools(parameters: Mapping[str, Any], console: Console) -> int:
    """Print the tools of the server as `mcprun tools` does, and return the exit code."""
    from mcprun.cli.signals import run_to_end
    from mcprun.client.inspect import list_server
    from mcprun.report import tools as tool_report
    from mcprun.tools.toolset import ToolSet

    calls = _calls(parameters, console)
    try:
        server = run_to_end(list_server(calls.target, calls.redactor, calls.connect_options, calls.watch))
    except RunError as error:
        console.run_error(error)
        return ExitCode.ERROR
    tools = ToolSet.of(server.tools, server.malformed)
    if parameters["as_json"]:
        console.json(tool_report.as_json(server, tools, None, None, None))
    else:
        console.lines(tool_report.tool_rows(server, tools, console.width))
    return ExitCode.PASSED


def _made(parameters: Mapping[str, Any], console: Console) -> SingleCall:
    """Make the call. Raises `UsageError`, `RunError`."""
    from mcprun.cli.signals import run_to_end
    from mcprun.engine.single_call import CallRequest

    words = [sys.stdin.read() if word == "-" else word for word in parameters["arguments"]]
    request = CallRequest(tool=parameters["tool"], words=words)
    return run_to_end(_calls(parameters, console).make(request))


def _calls(parameters: Mapping[str, Any], console: Console) -> SingleCalls:
    from mcprun.cli.arguments import options_of
    from mcprun.engine.server_options import client_features, resolve_server
    from mcprun.engine.single_call import SingleCalls
    from mcprun.models.credentials import Credentials

    options = options_of(parameters)
    target, redactor = resolve_server(parameters["server"], options, Credentials.find())
    return SingleCalls(
        target=target,
        redactor=redactor,
        limits=options.limits,
        features=client_features(options),
        protocol=options.protocol,
        watch=console.progress().handle,
    )


def _print(made: SingleCall, parameters: Mapping[str, Any], console: Console) -> None:
    """Print the result, and save its binary content, or print it as JSON."""
    from mcprun.report.call_result import as_json, parts_of, save

    if parameters["as_json"]:
        console.text(as_json(made.result))
        return
    folder, is_empty = parameters["folder"] or Path(), True
    for part in parts_of(made.result):
        is_empty = False
        console.text(part if isinstance(part, str) else save(part, parameters["tool"], folder))
    if is_empty:
        console.text("(no content)")


def _appender(parameters: Mapping[str, Any]) -> PromptsAppender | None:
    """Return the prompts file of `--save`, checked before the call is made."""
    from mcprun.prompts.append import PromptsAppender

    if not parameters["save"]:
        if parameters["query_id"]:
            raise UsageError("--id needs --save FILE")
        return None
    appender = PromptsAppender.open(parameters["save"])
    if parameters["query_id"] in appender.ids:
        raise UsageError(f"--id: {parameters['save']} already has a query {parameters['query_id']!r}")
    return appender


def _save(made: SingleCall, appender: PromptsAppender, parameters: Mapping[str, Any], console: Console) -> None:
    """Append the call to a prompts file, and print what was written and how to run it."""
    import shlex

    from mcprun.engine.recorded_arguments import without_secret
    from mcprun.engine.single_call import query_of

    if made.problem:
        console.warning(f"{appender.path} was not changed: the server did not send this result")
        return
    query, notes = query_of(made, parameters["query_id"], appender)
    appender.append(query)
    if made.is_redacted:
        notes = [*notes, "its input holds a secret, which was redacted: it can't be run as it is"]
    for note in notes:
        console.warning(f"query {query['id']!r}: {note}")
    command = shlex.join(["mcprun", "batch", str(appender.path), str(without_secret("server", parameters["server"]))])
    console.status(f"Added query {query['id']!r} to {appender.path}. Run it with: {command} --model script")
