"""`mcprun batch`: run the queries of a prompts file against a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcprun._util.gc_tuning import gc_paused
from mcprun.cli.completion import files
from mcprun.cli.configurable_command import ServerCommand
from mcprun.cli.options import limits as limit_options
from mcprun.cli.options import model as model_options
from mcprun.cli.options import report as report_options
from mcprun.cli.options import run as run_options
from mcprun.cli.options import server as server_options
from mcprun.cli.options.option import Heading, option
from mcprun.cli.options.types import option_type

if TYPE_CHECKING:
    from mcprun.cli.argument_sources import Arguments


_FIRST = (
    "model", "filters", "concurrency", "out", "max_failures", "repeat", "env", "fresh_server", "baseline", "resume",
    "update", "html", "junit", "quiet", "verbose", "dry_run",
)  # fmt: skip
"""The options that help lists first."""


@click.command(cls=ServerCommand, first=_FIRST, short_help="Run a prompts file against a server.")
@click.argument("prompts", type=option_type("prompts"), metavar="PROMPTS", required=False, shell_complete=files)
@click.argument("server", type=option_type("server"), metavar="SERVER", required=False, shell_complete=files)
@server_options.reaching
@run_options.ELICIT
@run_options.ROOT
@run_options.LOG_LEVEL
@model_options.MODEL
@model_options.BASE_URL
@model_options.BARE_API
@model_options.BATCH_API
@run_options.BATCH_QUERIES
@run_options.BATCH_WAIT
@run_options.BATCH_POLL
@model_options.JUDGE_MODEL
@run_options.SYSTEM
@model_options.EFFORT
@model_options.THINKING
@model_options.TOOL_CHOICE
@run_options.ALLOW_TOOL
@run_options.DENY_TOOL
@run_options.READ_ONLY
@run_options.FILTER
@run_options.LIMIT
@run_options.SHARD
@run_options.OUT
@option(
    "--allow-tool-errors/--no-allow-tool-errors",
    heading=Heading.COMPARISON,
    default=False,
    help="Do not fail a query because of a tool error",
    details="Do not fail queries because a tool call returned an error.",
)
@run_options.CONCURRENCY
@option(
    "--servers",
    heading=Heading.SCALE,
    type=option_type("servers"),
    default=1,
    metavar="N",
    help="Server processes, or sessions, to use",
    details="Number of server processes, or sessions, to distribute the queries over.",
    default_text="1",
)
@option(
    "--fresh-server/--no-fresh-server",
    heading=Heading.SERVER,
    default=False,
    help="Start a new server for each query",
    details="Start a new server for each query, so that queries share no state.",
)
@run_options.SCRATCH
@limit_options.MAX_TURNS
@limit_options.MAX_CALLS
@limit_options.MAX_SAMPLING
@limit_options.MAX_TOKENS
@limit_options.MAX_RESULT_BYTES
@limit_options.CONNECT_TIMEOUT
@limit_options.REQUEST_TIMEOUT
@limit_options.CALL_TIMEOUT
@limit_options.MAX_CALL_TIMEOUT
@limit_options.QUERY_TIMEOUT
@limit_options.RUN_TIMEOUT
@limit_options.RESTARTS
@limit_options.RETRIES
@limit_options.NO_RETRY
@limit_options.MAX_RETRY_WAIT
@limit_options.MAX_FAILURES
@limit_options.BUDGET_TOKENS
@limit_options.BUDGET_USD
@run_options.REDACT
@run_options.REPEAT
@run_options.PASS_RATE
@run_options.BASELINE
@run_options.UPDATE
@run_options.ALPHA
@run_options.ON_DIVERGENCE
@run_options.SCRUB
@run_options.IGNORE
@run_options.IGNORE_ORDER
@run_options.MIN_COVERAGE
@run_options.REQUIRE
@run_options.WAIVE
@run_options.ROUTE
@run_options.DECOYS
@option(
    "--otel/--no-otel",
    heading=Heading.REPORTS,
    default=False,
    help="Export OpenTelemetry spans over OTLP/HTTP",
    details="Export OpenTelemetry spans over OTLP/HTTP, as configured by OTEL_* variables."
    " Requires: pip install 'mcprun[otel]'.",
)
@run_options.RAY
@run_options.RAY_ACTORS
@run_options.RESUME
@run_options.RETRY_ERRORS
@run_options.FORCE
@report_options.reports
@option(
    "--quiet/--no-quiet",
    "-q",
    heading=Heading.OPTIONS,
    default=False,
    help="Print only warnings, and why the run is red",
    details="Print only warnings, and at the end the causes of a red run and its outcome.",
)
@option(
    "--verbose/--no-verbose",
    "-v",
    heading=Heading.OPTIONS,
    default=False,
    help="Print each call and retry as it happens",
    details="Print each call, request and retry to stderr as it happens, and each query as it ends.",
)
@run_options.DETECT_VOLATILE
@option(
    "--dry-run",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Check queries against the server; run nothing",
    details="Check tool names, inputs, prompts and resources of the selected queries against the server, and run"
    " nothing. Exits with 2 if a query can't work.",
)
@option(
    "--show-config",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Print options with their sources; run nothing",
    details="Print the value and the source of each option, and run nothing.",
)
@click.pass_context
def batch(ctx: click.Context, /, **parameters: Any) -> None:
    """Run the queries of PROMPTS against SERVER, and write a run directory.

    PROMPTS is a JSONL file with one query per line, a YAML file (.yaml, .yml) with a list of queries, or - for stdin.
    SERVER is a .py or .js file, an http(s) URL, FILE.json#name (an MCP client's configuration), or a command line in
    quotes. Arguments after -- are passed to the server.

    \b
      mcprun batch prompts.jsonl server.py
      mcprun batch prompts.jsonl "npx -y some-server"
      mcprun batch prompts.jsonl server.py --model replay:outputs/latest
      mcprun batch prompts.jsonl server.py --filter 'add-*' -- --verbose
      mcprun batch prompts.jsonl server.py -m replay:baseline --baseline baseline
      mcprun batch prompts.jsonl server.py --baseline baseline --update
      mcprun batch --resume latest

    Options are also read from MCPRUN_<OPTION> in the environment or .env (an empty variable is not set), and then from
    the nearest mcprun.toml, or [tool.mcprun] in pyproject.toml, in this folder or above. --no-NAME turns a switch off.
    Defaults are in brackets.
    """
    if parameters["show_config"]:
        _show_config(ctx.obj)
        return
    if parameters["detect_volatile"]:
        from mcprun.cli.volatile_passes import detect_volatile
        from mcprun.report.console import Console

        console = Console(quiet=parameters["quiet"], is_verbose=parameters["verbose"])
        ctx.exit(detect_volatile(ctx.obj, parameters["detect_volatile"], console))
    with gc_paused():
        from mcprun.cli.batch_run import BatchRun

        run = BatchRun.of(ctx.obj, parameters)
    ctx.exit(run.check() if parameters["dry_run"] else run.execute())


def _show_config(arguments: Arguments) -> None:
    import json

    from mcprun.cli.configurable_command import settings_with_sources
    from mcprun.engine.recorded_arguments import without_secret

    rows = [
        (key, json.dumps(without_secret(key, value)), source)
        for key, value, source in settings_with_sources(batch, arguments)
    ]
    widths = [max(len(row[at]) for row in rows) for at in (0, 1)]
    for key, value, source in rows:
        click.echo(f"{key.replace('_', '-'):<{widths[0]}}  {value:<{min(widths[1], 40)}}  {source}")
