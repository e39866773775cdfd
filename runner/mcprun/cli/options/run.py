"""Options and arguments shared by several commands, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mcprun import limits
from mcprun.cli.completion import files, runs
from mcprun.cli.options.types import default_text, option_type
from mcprun.cli.usage_errors import DiscreetCommand

PROMPTS = click.argument("prompts", metavar="PROMPTS", shell_complete=files)
SERVER = click.argument("server", metavar="SERVER", required=False, shell_complete=files)


def _pairs(_: click.Context, __: click.Parameter, values: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return pairs of name and value as a dict; the last value of a name wins."""
    return dict(values)


ENV = click.option(
    "--env",
    type=option_type("env"),
    multiple=True,
    callback=_pairs,
    metavar="NAME[=VALUE]",
    help="Set an environment variable of the server; NAME alone copies it from this environment. The value is"
    " redacted. Repeatable.",
)
ENV_FILE = click.option(
    "--env-file",
    "env_files",
    type=option_type("env_file"),
    multiple=True,
    metavar="FILE",
    shell_complete=files,
    help="Read environment variables of the server from a .env file; --env takes precedence. Their values are"
    " redacted. Repeatable.",
)
CWD = click.option(
    "--cwd", type=option_type("cwd"), metavar="DIR", help="Working directory of the server.  [default: the current one]"
)
PYTHON = click.option(
    "--python",
    type=option_type("python"),
    metavar="PYTHON",
    help="Python interpreter for .py servers.  [default: the active virtual environment's, else mcprun's own]",
)
PROTOCOL = click.option(
    "--protocol",
    type=option_type("protocol"),
    default=limits.AUTO,
    show_default=True,
    help="Protocol version to speak: 2026-07-28, the one before (legacy), or the negotiated one (auto).",
)
HEADER = click.option(
    "--header",
    type=option_type("header"),
    multiple=True,
    callback=_pairs,
    metavar="'NAME: VALUE'",
    help="Send an HTTP header to a server at a URL. The value is redacted. Repeatable.",
)


_QUOTES = 'Quote a server\'s command line ("npx -y some-server"), or put its arguments after --'


class WithServerArgs(DiscreetCommand):
    """A command that accepts arguments for the server after `--`, and stores them in `ctx.meta`."""

    KEY = "mcprun.server_args"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line up to `--`. An error for an unknown argument mentions the server's arguments."""
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[self.KEY] = args[:at], tuple(args[at + 1 :])
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            is_unknown = isinstance(error, click.NoSuchOption) and not error.possibilities
            if is_unknown or type(error) is click.UsageError:  # the latter: too many arguments
                raise click.UsageError(f"{error.message.rstrip('.')}. {_QUOTES}", ctx) from None
            raise

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Add the server's arguments to the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- SERVER_ARGS...]"]


def _read_run(_: click.Context, __: click.Parameter, run: str | None) -> Any:
    """Read the run to resume."""
    from mcprun.runs.run import Run

    return None if run is None else Run.read_record(run)


RESUME = click.option(
    "--resume",
    metavar="RUN",
    is_eager=True,
    callback=_read_run,
    shell_complete=runs,
    help="Continue an interrupted run with its recorded arguments; arguments given now take precedence.",
)
RETRY_ERRORS = click.option(
    "--retry-errors", is_flag=True, help="With --resume: also retry queries that ended in an error."
)
FORCE = click.option(
    "--force",
    is_flag=True,
    help="With --resume: continue although prompts, or rules such as --read-only, have changed. Only results that"
    " still apply are kept.",
)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _timeout_option(flag: str, default: float, text: str) -> Callable[[_Command], _Command]:
    return _number(flag, "SECONDS", default, f"{text}  [default: {default_text(default)}]")


def _count(flag: str, default: int, text: str) -> Callable[[_Command], _Command]:
    return _number(flag, "N", default, f"{text}  [default: {default:,}]")


def _number(flag: str, metavar: str, default: float | None, text: str) -> Callable[[_Command], _Command]:
    kind = option_type(flag.removeprefix("--").replace("-", "_"))
    return click.option(flag, type=kind, default=default, metavar=metavar, help=text)


ALLOW_TOOL = click.option(
    "--allow-tool",
    type=option_type("allow_tool"),
    multiple=True,
    metavar="PATTERN",
    help="Let the model use only tools whose names match, such as 'get_*'. Repeatable.",
)
DENY_TOOL = click.option(
    "--deny-tool",
    type=option_type("deny_tool"),
    multiple=True,
    metavar="PATTERN",
    help="Keep the model from using tools whose names match, such as 'delete_*'. Repeatable.",
)
READ_ONLY = click.option(
    "--read-only/--no-read-only",
    default=False,
    help="Let the model use only tools that are annotated as read-only (readOnlyHint).",
)
SYSTEM = click.option(
    "--system",
    type=option_type("system"),
    metavar="TEXT",
    help="System prompt of queries that have none.",
)
MAX_TOKENS = _count("--max-tokens", limits.MAX_TOKENS, "Maximum tokens per reply, including thinking.")
MAX_TURNS = _count("--max-turns", limits.MAX_TURNS, "Maximum turns per query; a query that needs more fails.")
MAX_CALLS = _count("--max-calls", limits.MAX_CALLS, "Maximum tool calls per query; a query that needs more fails.")
ELICIT = click.option(
    "--elicit",
    type=option_type("elicit"),
    default="decline",
    show_default=True,
    help="How to answer elicitation requests: decline, form defaults, or the query's `elicit`. A query with `elicit`"
    " always uses its own answers.",
)
ROOT = click.option(
    "--root",
    "roots",
    type=option_type("root"),
    multiple=True,
    metavar="DIR",
    shell_complete=files,
    help="Directory to return for roots/list. Repeatable.",
)
LOG_LEVEL = click.option(
    "--log-level",
    type=option_type("log_level"),
    help="Minimum level of log messages to request from servers; they are recorded in the trace.  [default: the"
    " server's own]",
)
MAX_SAMPLING = click.option(
    "--max-sampling",
    type=option_type("max_sampling"),
    default=limits.MAX_SAMPLING,
    show_default=True,
    metavar="N",
    help="Maximum sampling requests per query; 0 disables sampling.",
)
MAX_RESULT_BYTES = click.option(
    "--max-result-bytes",
    type=option_type("max_result_bytes"),
    default=limits.MAX_RESULT_BYTES,
    metavar="N",
    help="Maximum size of a server's message in bytes; a longer result becomes an error result.  [default: 10 MiB]",
)
MAX_FAILURES = click.option(
    "--max-failures", type=option_type("max_failures"), metavar="N", help="Stop after N queries that did not pass."
)
BUDGET_TOKENS = click.option(
    "--budget-tokens",
    type=option_type("budget_tokens"),
    metavar="N",
    help="Stop when the model has used N tokens, including cached ones.",
)
BUDGET_USD = click.option(
    "--budget-usd",
    type=option_type("budget_usd"),
    metavar="DOLLARS",
    help="Stop when the model has cost this many US dollars.  [requires: pip install 'mcprun[prices]']",
)
REDACT = click.option(
    "--redact",
    "redact",
    type=option_type("redact"),
    multiple=True,
    metavar="PATTERN",
    help="Redact matches of a regular expression in all files and messages, like keys, headers and --env values."
    " Repeatable.",
)
CONCURRENCY = _count("--concurrency", limits.CONCURRENCY, "Maximum queries in flight.")
BATCH_QUERIES = click.option(
    "--batch-queries",
    type=option_type("batch_queries"),
    metavar="N",
    help="With --batch-api: maximum queries in flight; --concurrency limits those that call tools.  [default: 2,000,"
    " or --concurrency with --fresh-server]",
)
BATCH_WAIT = _timeout_option(
    "--batch-wait", limits.BATCH_WAIT_SECONDS, "With --batch-api: send a batch after this time without a new request."
)
BATCH_POLL = _timeout_option(
    "--batch-poll", limits.BATCH_POLL_SECONDS, "With --batch-api: maximum interval between polls of a batch."
)
CONNECT_TIMEOUT = _timeout_option(
    "--connect-timeout", limits.CONNECT_SECONDS, "Time limit for starting a server and listing its tools."
)
REQUEST_TIMEOUT = _timeout_option("--request-timeout", limits.REQUEST_SECONDS, "Time limit for a model request.")
CALL_TIMEOUT = _timeout_option(
    "--call-timeout",
    limits.CALL_SECONDS,
    "Time limit for a tool call, restarted by progress. A call that exceeds it returns an error to the model.",
)
MAX_CALL_TIMEOUT = click.option(
    "--max-call-timeout",
    type=option_type("max_call_timeout"),
    metavar="SECONDS",
    help="Total time limit for a tool call that reports progress.  [default: 10 min, or --call-timeout if longer]",
)
QUERY_TIMEOUT = _timeout_option(
    "--query-timeout", limits.QUERY_SECONDS, "Time limit for a query, with all its turns and calls."
)
RUN_TIMEOUT = _timeout_option("--run-timeout", limits.RUN_SECONDS, "Time limit for the whole run, including waiting.")
RESTARTS = click.option(
    "--restarts",
    type=option_type("restarts"),
    default=limits.RESTARTS,
    show_default=True,
    metavar="N",
    help="Maximum server restarts per run. Queries interrupted by a crash are retried.",
)
RETRIES = click.option(
    "--retries",
    type=option_type("retries"),
    default=limits.RETRIES,
    show_default=True,
    metavar="N",
    help="Maximum retries of a model request if the API throttles, fails or stops responding. Tool calls are not"
    " retried.",
)
NO_RETRY = click.option("--no-retry/--retry", default=False, help="Same as --retries 0.")
MAX_RETRY_WAIT = _timeout_option("--max-retry-wait", limits.RETRY_WAIT_SECONDS, "Maximum wait before a retry.")

REPEAT = _count("--repeat", 1, "Run each query N times; a query's own `repeat` takes precedence.")
PASS_RATE = click.option(
    "--pass-rate",
    type=option_type("pass_rate"),
    metavar="RATE",
    help="With repeats: share of a query's runs that must pass, such as 0.8.  [default: all must pass]",
)
BASELINE = click.option(
    "--baseline",
    type=option_type("baseline"),
    metavar="DIR",
    help="Compare with this run at the end, and exit with 1 if a query is missing or regressed. --scrub and --ignore"
    " exclude differences.",
)
IGNORE = click.option(
    "--ignore",
    type=option_type("ignore"),
    multiple=True,
    metavar="PATH",
    help="Ignore differences at a path, such as calls[*].result.updated_at. Repeatable.",
)
SCRUB = click.option(
    "--scrub",
    type=option_type("scrub"),
    multiple=True,
    metavar="NAME|REGEX",
    help="Ignore differences in uuid, timestamp, tmp, port, hash, or matches of a regular expression. Repeatable.",
)
ALPHA = click.option(
    "--alpha",
    type=option_type("alpha"),
    default=0.05,
    show_default=True,
    metavar="P",
    help="With repeats: significance level of a change in pass rate.",
)
ON_DIVERGENCE = click.option(
    "--on-divergence",
    type=option_type("on_divergence"),
    default="continue",
    show_default=True,
    help="What to do when the result of a replayed call differs from the recording: mark the call and continue, fail"
    " the query, or stop the query. --scrub and --ignore exclude differences.",
)

OUT = click.option(
    "--out",
    type=option_type("out"),
    metavar="DIR",
    help="Run directory.  [default: outputs/<date>-<time>-<prompts>]",
)
LIMIT = click.option("--limit", type=option_type("limit"), metavar="N", help="Run only the first N selected queries.")
SHARD = click.option(
    "--shard",
    type=option_type("shard"),
    metavar="I/N",
    help="Run the I-th of N parts of the selected queries; mcprun merge combines the parts.",
)
RAY = click.option(
    "--ray",
    type=option_type("ray"),
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Distribute the queries over a Ray cluster: HOST:PORT, the cluster of this machine (auto), or a new one"
    " (local, the default ADDRESS).  [requires: pip install 'mcprun[ray]']",
)
RAY_ACTORS = click.option(
    "--ray-actors",
    type=option_type("ray_actors"),
    metavar="N",
    help="With --ray: number of actors, which share --concurrency and --servers.  [default: the cluster's CPUs]",
)
FILTER = click.option(
    "--filter",
    "filters",
    type=option_type("filter"),
    multiple=True,
    metavar="PATTERN",
    help="Run queries whose id or a tag matches, such as 'add-*'; an exact id or tag takes precedence over a"
    " pattern. Repeatable.",
)
