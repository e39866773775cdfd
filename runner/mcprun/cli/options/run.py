"""Options and arguments shared by several commands, each declared once."""

from __future__ import annotations

from typing import Any

import click

from mcprun import limits
from mcprun.cli.completion import files, runs
from mcprun.cli.options.numbers import count, seconds
from mcprun.cli.options.option import Heading, option
from mcprun.cli.options.types import option_type, type_of
from mcprun.option_kinds import Whole

PROMPTS = click.argument("prompts", metavar="PROMPTS", shell_complete=files)
SERVER = click.argument("server", metavar="SERVER", required=False, shell_complete=files)


def _pairs(_: click.Context, __: click.Parameter, values: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return pairs of name and value as a dict; the last value of a name wins."""
    return dict(values)


ENV = option(
    "--env",
    heading=Heading.SERVER,
    type=option_type("env"),
    multiple=True,
    callback=_pairs,
    metavar="NAME[=VALUE]",
    help="Environment variable of the server; repeatable",
    details="Set an environment variable of the server; NAME alone copies it from this environment. The value is"
    " redacted. Repeatable.",
)
ENV_FILE = option(
    "--env-file",
    "env_files",
    heading=Heading.SERVER,
    type=option_type("env_file"),
    multiple=True,
    metavar="FILE",
    shell_complete=files,
    help="Read the server's variables from a .env file",
    details="Read environment variables of the server from a .env file; --env takes precedence. Their values are"
    " redacted. Repeatable.",
)
CWD = option(
    "--cwd",
    heading=Heading.SERVER,
    type=option_type("cwd"),
    metavar="DIR",
    help="Server's working directory",
    default_text="the current one",
)
SCRATCH = option(
    "--scratch/--no-scratch",
    heading=Heading.SERVER,
    default=False,
    help="Start each server in a new folder",
    details="Start each server in a new folder, which is deleted afterwards, instead of the current one.",
)
PYTHON = option(
    "--python",
    heading=Heading.SERVER,
    type=option_type("python"),
    metavar="PYTHON",
    help="Interpreter of .py servers",
    details="Python interpreter for .py servers.",
    default_text="the active virtual environment's, the project's .venv, or mcprun's own",
)
PROTOCOL = option(
    "--protocol",
    heading=Heading.SERVER,
    type=option_type("protocol"),
    default=limits.AUTO,
    metavar="VERSION",
    help="Protocol: auto, legacy or 2026-07-28",
    details="Protocol version to speak: 2026-07-28, the one before (legacy), or the negotiated one (auto).",
    default_text=limits.AUTO,
)
HEADER = option(
    "--header",
    heading=Heading.AUTHENTICATION,
    type=option_type("header"),
    multiple=True,
    callback=_pairs,
    metavar="'NAME: VALUE'",
    help="HTTP header for a server at a URL; repeatable",
    details="Send an HTTP header to a server at a URL. The value is redacted. Repeatable.",
)


def _read_run(_: click.Context, __: click.Parameter, run: str | None) -> Any:
    """Read the run to resume."""
    if run is None:
        return None
    from mcprun.runs.run import Run

    return Run.read_record(run)


RESUME = option(
    "--resume",
    heading=Heading.RETRIES,
    metavar="RUN",
    is_eager=True,
    callback=_read_run,
    shell_complete=runs,
    help="Continue an interrupted run",
    details="Continue an interrupted run with its recorded arguments; arguments given now take precedence.",
)
RETRY_ERRORS = option(
    "--retry-errors",
    heading=Heading.RETRIES,
    is_flag=True,
    help="With --resume: also retry queries with errors",
    details="With --resume: also retry queries that ended in an error.",
)
FORCE = option(
    "--force",
    heading=Heading.RETRIES,
    is_flag=True,
    help="With --resume: accept changed prompts and rules",
    details="With --resume: continue although prompts, or rules such as --read-only, have changed. Only results that"
    " still apply are kept. With --update: accept errors and missing queries.",
)

ALLOW_TOOL = option(
    "--allow-tool",
    heading=Heading.SELECTION,
    type=option_type("allow_tool"),
    multiple=True,
    metavar="PATTERN",
    help="Let the model use only these tools; repeatable",
    details="Let the model use only tools whose names match, such as 'get_*'. Repeatable.",
)
DENY_TOOL = option(
    "--deny-tool",
    heading=Heading.SELECTION,
    type=option_type("deny_tool"),
    multiple=True,
    metavar="PATTERN",
    help="Keep the model from using these; repeatable",
    details="Keep the model from using tools whose names match, such as 'delete_*'. Repeatable.",
)
READ_ONLY = option(
    "--read-only/--no-read-only",
    heading=Heading.SELECTION,
    default=False,
    help="Let the model use only read-only tools",
    details="Let the model use only tools that are annotated as read-only (readOnlyHint).",
)
SYSTEM = option(
    "--system",
    heading=Heading.MODEL,
    type=option_type("system"),
    metavar="TEXT",
    help="System prompt of queries that have none",
)
ELICIT = option(
    "--elicit",
    heading=Heading.SERVER,
    type=option_type("elicit"),
    default="decline",
    metavar="ANSWER",
    help="Answer: decline, defaults or script",
    details="How to answer elicitation requests: decline, form defaults, or the query's `elicit` (script). A query"
    " with `elicit` always uses its own answers.",
    default_text="decline",
)
ROOT = option(
    "--root",
    "roots",
    heading=Heading.SERVER,
    type=option_type("root"),
    multiple=True,
    metavar="DIR",
    shell_complete=files,
    help="Directory to return for roots/list; repeatable",
    details="Directory to return for roots/list. Repeatable.",
)
LOG_LEVEL = option(
    "--log-level",
    heading=Heading.SERVER,
    type=option_type("log_level"),
    metavar="LEVEL",
    help="Least severe server log messages to record",
    details="Minimum level of log messages to request from servers: debug, info, notice, warning, error, critical,"
    " alert or emergency. They are recorded in the trace.",
    default_text="the server's own",
)
REDACT = option(
    "--redact",
    heading=Heading.REPORTS,
    type=option_type("redact"),
    multiple=True,
    metavar="PATTERN",
    help="Redact matches of a regex everywhere; repeatable",
    details="Redact matches of a regular expression in all files and messages, like keys, headers and --env values."
    " Repeatable.",
)
CONCURRENCY = count(
    "-j",
    "--concurrency",
    heading=Heading.SCALE,
    default=limits.CONCURRENCY,
    help="Maximum queries in flight",
)
BATCH_QUERIES = option(
    "--batch-queries",
    heading=Heading.SCALE,
    type=option_type("batch_queries"),
    metavar="N",
    help="With --batch-api: queries in flight [2,000]",
    details="With --batch-api: maximum queries in flight; --concurrency limits those that call tools.",
    default_text="2,000, or --concurrency with --fresh-server",
)
BATCH_WAIT = seconds(
    "--batch-wait",
    heading=Heading.SCALE,
    default=limits.BATCH_WAIT_SECONDS,
    help="With --batch-api: send after this time",
    details="With --batch-api: send a batch after this time without a new request.",
)
BATCH_POLL = seconds(
    "--batch-poll",
    heading=Heading.SCALE,
    default=limits.BATCH_POLL_SECONDS,
    help="With --batch-api: interval of polls",
    details="With --batch-api: maximum interval between polls of a batch.",
)

REPEAT = count(
    "--repeat",
    heading=Heading.SELECTION,
    default=1,
    help="Run each query N times",
    details="Run each query N times; a query's own `repeat` takes precedence.",
)
PASS_RATE = option(
    "--pass-rate",
    heading=Heading.COMPARISON,
    type=option_type("pass_rate"),
    metavar="RATE",
    help="Share of repeats that must pass, as 0.8 [all]",
    details="With repeats: share of a query's runs that must pass, such as 0.8.",
    default_text="all must pass",
)
BASELINE = option(
    "--baseline",
    heading=Heading.COMPARISON,
    type=option_type("baseline"),
    metavar="RUN",
    help="Compare with this run; a regression exits with 1",
    details="Compare with this run at the end, and exit with 1 if a query is missing or regressed. --scrub and"
    " --ignore exclude differences.",
)
UPDATE = option(
    "--update",
    heading=Heading.COMPARISON,
    is_flag=True,
    help="Accept this run as the new --baseline",
    details="Accept this run as the new baseline at its end, or make the baseline if there is none. With --filter or"
    " --limit, only the selected queries are replaced. Errors and missing queries are refused without --force.",
)
IGNORE = option(
    "--ignore",
    heading=Heading.COMPARISON,
    type=option_type("ignore"),
    multiple=True,
    metavar="PATH",
    help="Ignore differences at a path; repeatable",
    details="Ignore differences at a path, such as calls[*].result.updated_at. Repeatable.",
)
IGNORE_ORDER = option(
    "--ignore-order",
    heading=Heading.COMPARISON,
    type=option_type("ignore_order"),
    multiple=True,
    metavar="PATH",
    help="Ignore the order of a list; repeatable",
    details="Ignore the order of the list at a path, such as calls[*].result.rows, or of the lines of a text there."
    " Repeatable.",
)
DETECT_VOLATILE = option(
    "--detect-volatile",
    heading=Heading.COMPARISON,
    type=type_of(Whole(2, 100)),
    metavar="N",
    help="Run N times, and report what differs",
    details="Run all queries N times (2 to 100), and report the results that differ or look volatile, with the missing"
    " --scrub, --ignore and --ignore-order. Exits with 1 if there are any.",
)
SCRUB = option(
    "--scrub",
    heading=Heading.COMPARISON,
    type=option_type("scrub"),
    multiple=True,
    metavar="NAME|REGEX",
    help="Ignore uuid, timestamp, tmp, port, … or REGEX",
    details="Ignore differences in values of a kind (uuid, ulid, timestamp, time, epoch, tmp, hash, port, duration), or"
    " in matches of a regular expression. Repeatable.",
)
ALPHA = option(
    "--alpha",
    heading=Heading.COMPARISON,
    type=option_type("alpha"),
    default=0.05,
    metavar="P",
    help="Significance of a change in pass rate",
    details="With repeats: significance level of a change in pass rate.",
    default_text="0.05",
)
ON_DIVERGENCE = option(
    "--on-divergence",
    heading=Heading.COMPARISON,
    type=option_type("on_divergence"),
    default="continue",
    metavar="ACTION",
    help="Divergence: continue, fail or stop",
    details="What to do when the result of a replayed call differs from the recording: mark the call and continue,"
    " fail the query, or stop the query. --scrub and --ignore exclude differences.",
    default_text="continue",
)

MIN_COVERAGE = option(
    "--min-coverage",
    heading=Heading.COVERAGE,
    type=option_type("min_coverage"),
    metavar="SHARE",
    help="Share of tools to cover, as 0.9; else exit 1",
    details="Share of the server's tools that calls must reach and that must return without error, such as 0.9. Exits"
    " with 1 below.",
)
REQUIRE = option(
    "--require",
    heading=Heading.COVERAGE,
    type=option_type("require"),
    multiple=True,
    metavar="TOOL",
    help="Tool that must be covered; repeatable",
    details="Tool that must be covered. Exits with 1 if it is not. Repeatable.",
)
WAIVE = option(
    "--waive",
    heading=Heading.COVERAGE,
    type=option_type("waive"),
    multiple=True,
    metavar="PATTERN",
    help="Tools that need no coverage; repeatable",
    details="Tools that need not be covered, such as 'admin_*': they do not count for --min-coverage. Waived tools that"
    " are called are reported. Repeatable.",
)

ROUTE = option(
    "--route/--no-route",
    heading=Heading.ROUTING,
    default=False,
    help="Grade which tools the model picks; call none",
    details="Ask the model once per query, make no call, and grade the calls that it asks for against expect.calls."
    " Queries without expect.calls, or with vars from steps, are skipped.",
)
DECOYS = option(
    "--decoys",
    heading=Heading.ROUTING,
    type=option_type("decoys"),
    multiple=True,
    metavar="SNAPSHOT",
    shell_complete=files,
    help="Offer another server's tools too; repeatable",
    details="With --route: add the tools of a snapshot (`mcprun tools SERVER --snapshot FILE`) or of a run to the"
    " model's list, to measure how other servers' tools distract it. Repeatable.",
)

OUT = option(
    "-o",
    "--out",
    heading=Heading.REPORTS,
    type=option_type("out"),
    metavar="DIR",
    help="Run directory",
    details="Run directory.",
    default_text="outputs/<date>-<time>-<prompts>",
)
LIMIT = option(
    "--limit",
    heading=Heading.SELECTION,
    type=option_type("limit"),
    metavar="N",
    help="Run only the first N selected queries",
)
SHARD = option(
    "--shard",
    heading=Heading.SCALE,
    type=option_type("shard"),
    metavar="I/N",
    help="Run part I of N; `mcprun merge` combines them",
    details="Run the I-th of N parts of the selected queries; mcprun merge combines the parts.",
)
RAY = option(
    "--ray",
    heading=Heading.SCALE,
    type=option_type("ray"),
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Run on Ray: HOST:PORT, auto, or local",
    details="Distribute the queries over a Ray cluster: HOST:PORT, the cluster of this machine (auto), or a new one"
    " (local, the default ADDRESS). Requires: pip install 'mcprun[ray]'.",
)
RAY_ACTORS = option(
    "--ray-actors",
    heading=Heading.SCALE,
    type=option_type("ray_actors"),
    metavar="N",
    help="With --ray: number of actors",
    details="With --ray: number of actors, which share --concurrency and --servers.",
    default_text="the cluster's CPUs",
)
FILTER = option(
    "-k",
    "--filter",
    "filters",
    heading=Heading.SELECTION,
    type=option_type("filter"),
    multiple=True,
    metavar="PATTERN",
    help="Run queries with this id or tag; repeatable",
    details="Run queries whose id or a tag matches, such as 'add-*'; an exact id or tag takes precedence over a"
    " pattern. Repeatable.",
)
