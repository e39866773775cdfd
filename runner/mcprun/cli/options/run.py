"""Options and arguments shared by several commands, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mcprun import limits
from mcprun.cli.completion import files, runs
from mcprun.cli.options.types import option_type
from mcprun.cli.usage_errors import DiscreetCommand

PROMPTS = click.argument("prompts", metavar="PROMPTS", shell_complete=files)
SERVER = click.argument("server", metavar="SERVER", required=False, shell_complete=files)


def _pairs(_: click.Context, __: click.Parameter, given: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return pairs of name and value as a dict; the last value of a name wins."""
    return dict(given)


ENV = click.option(
    "--env",
    type=option_type("env"),
    multiple=True,
    callback=_pairs,
    metavar="NAME[=VALUE]",
    help="Set a variable in the server's environment; without a value, that of this environment. Its value is kept out"
    " of all files and messages. May be given more than once.",
)
ENV_FILE = click.option(
    "--env-file",
    "env_files",
    type=option_type("env_file"),
    multiple=True,
    metavar="FILE",
    shell_complete=files,
    help="Set the variables that stand in a file, as .env is written; they are secrets like those of --env, which come"
    " first. May be given more than once.",
)
CWD = click.option(
    "--cwd", type=option_type("cwd"), metavar="DIR", help="Start the server in this folder.  [default: this one]"
)
PYTHON = click.option(
    "--python",
    type=option_type("python"),
    metavar="PYTHON",
    help="Start a .py server with this Python.  [default: the active virtual environment's, else mcprun's own]",
)
PROTOCOL = click.option(
    "--protocol",
    type=option_type("protocol"),
    default=limits.AUTO,
    show_default=True,
    help="Speak this protocol and no other: the one before 2026-07-28 (legacy), or that.",
)
HEADER = click.option(
    "--header",
    type=option_type("header"),
    multiple=True,
    callback=_pairs,
    metavar="'NAME: VALUE'",
    help="Send a header to a server at a URL. Its value is kept out of all files and messages. May be given more than"
    " once.",
)


_QUOTES = 'A server\'s command line goes in quotes ("npx -y some-server"), or its arguments behind --'


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
    help="Go on with a run that was interrupted or killed, with the arguments it was begun with; those given now"
    " come first.",
)
RETRY_ERRORS = click.option(
    "--retry-errors", is_flag=True, help="With --resume: try what ended in an error again as well."
)
FORCE = click.option(
    "--force",
    is_flag=True,
    help="With --resume: go on although the prompts, or rules such as --read-only, have changed, with what still"
    " matches.",
)

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _number(flag: str, default: float | None, metavar: str, what: str) -> Callable[[_Command], _Command]:
    return click.option(
        flag,
        type=option_type(flag.removeprefix("--").replace("-", "_")),
        default=default,
        show_default=default is not None,
        metavar=metavar,
        help=what,
    )


def _seconds(flag: str, default: float | None, what: str) -> Callable[[_Command], _Command]:
    return _number(flag, default, "SECONDS", what)


def _count(flag: str, default: int | None, what: str) -> Callable[[_Command], _Command]:
    return _number(flag, default, "N", what)


ALLOW_TOOL = click.option(
    "--allow-tool",
    type=option_type("allow_tool"),
    multiple=True,
    metavar="PATTERN",
    help="Let the model use tools whose names fit, and no others.",
)
DENY_TOOL = click.option(
    "--deny-tool",
    type=option_type("deny_tool"),
    multiple=True,
    metavar="PATTERN",
    help="Do not let it use tools whose names fit, such as 'delete_*'.",
)
READ_ONLY = click.option(
    "--read-only/--no-read-only",
    default=False,
    help="Let it use only tools whose server says that they change nothing (readOnlyHint).",
)
SYSTEM = click.option(
    "--system",
    type=option_type("system"),
    metavar="TEXT",
    help="System prompt of queries that bring none of their own.",
)
MAX_TOKENS = _count("--max-tokens", limits.MAX_TOKENS, "Most tokens of one reply, thinking included.")
MAX_TURNS = _count("--max-turns", limits.MAX_TURNS, "Most turns of one query; at the limit it fails.")
MAX_CALLS = _count("--max-calls", limits.MAX_CALLS, "Most tool calls of one query; at the limit it fails.")
ELICIT = click.option(
    "--elicit",
    type=option_type("elicit"),
    default="decline",
    show_default=True,
    help="What servers are answered that ask the user for something: no, the defaults of their forms, or what stands in"
    " the query. A query that has `elicit` answers by itself in any case.",
)
ROOT = click.option(
    "--root",
    "roots",
    type=option_type("root"),
    multiple=True,
    metavar="DIR",
    shell_complete=files,
    help="Tell servers that ask that they may work in this folder. May be given more than once.",
)
LOG_LEVEL = click.option(
    "--log-level",
    type=option_type("log_level"),
    help="Ask servers for log messages from this level on; they stand in the trace.  [default: what they send anyway]",
)
MAX_SAMPLING = click.option(
    "--max-sampling",
    type=option_type("max_sampling"),
    default=limits.MAX_SAMPLING,
    show_default=True,
    metavar="N",
    help="Let servers ask the model up to N times a query. With 0 they are told that there is none.",
)
MAX_RESULT_BYTES = click.option(
    "--max-result-bytes",
    type=option_type("max_result_bytes"),
    default=limits.MAX_RESULT_BYTES,
    show_default=True,
    metavar="N",
    help="Longest message that is taken from a server. A longer result is told to the model as an error.",
)
MAX_FAILURES = click.option(
    "--max-failures", type=option_type("max_failures"), metavar="N", help="Stop when N queries did not pass."
)
BUDGET_TOKENS = click.option(
    "--budget-tokens",
    type=option_type("budget_tokens"),
    metavar="N",
    help="Stop when the model has read and written N tokens, those in its cache included.",
)
BUDGET_USD = click.option(
    "--budget-usd",
    type=option_type("budget_usd"),
    metavar="DOLLARS",
    help="Stop when the model has cost so much.  [needs: pip install 'mcprun[prices]']",
)
REDACT = click.option(
    "--redact",
    "redact",
    type=option_type("redact"),
    multiple=True,
    metavar="PATTERN",
    help="Replace what fits a regular expression in all files and messages, as keys, headers and env values always"
    " are. May be given more than once.",
)
CONCURRENCY = _count("--concurrency", limits.CONCURRENCY, "Queries in flight at once.")
BATCH_QUERIES = click.option(
    "--batch-queries",
    type=option_type("batch_queries"),
    metavar="N",
    help="With --batch-api: queries in flight at once, while --concurrency bounds those that call tools."
    "  [default: 2,000; with --fresh-server that of --concurrency]",
)
BATCH_WAIT = _seconds(
    "--batch-wait",
    limits.BATCH_WAIT_SECONDS,
    "With --batch-api: send a batch, though some queries are still at work, when none has joined it for so long.",
)
BATCH_POLL = _seconds("--batch-poll", limits.BATCH_POLL_SECONDS, "With --batch-api: longest wait between looks at it.")
CONNECT_TIMEOUT = _seconds("--connect-timeout", limits.CONNECT_SECONDS, "Starting the server and listing its tools.")
REQUEST_TIMEOUT = _seconds("--request-timeout", limits.REQUEST_SECONDS, "One model request.")
CALL_TIMEOUT = _seconds(
    "--call-timeout", limits.CALL_SECONDS, "One tool call; progress restarts it. The model is told when it is over."
)
MAX_CALL_TIMEOUT = click.option(
    "--max-call-timeout",
    type=option_type("max_call_timeout"),
    metavar="SECONDS",
    help="One tool call that reports progress, in all.  [default: 600, or --call-timeout if that is longer]",
)
QUERY_TIMEOUT = _seconds("--query-timeout", limits.QUERY_SECONDS, "One query, all turns and calls together.")
RUN_TIMEOUT = _seconds("--run-timeout", limits.RUN_SECONDS, "The whole run, waiting included.")
RESTARTS = click.option(
    "--restarts",
    type=option_type("restarts"),
    default=limits.RESTARTS,
    show_default=True,
    metavar="N",
    help="Start a server that died again, up to N times in the whole run. The queries it took down are tried again.",
)
RETRIES = click.option(
    "--retries",
    type=option_type("retries"),
    default=limits.RETRIES,
    show_default=True,
    metavar="N",
    help="Ask the model again, up to N times, when the API throttles, fails or falls silent. No tool call is repeated.",
)
NO_RETRY = click.option("--no-retry/--retry", default=False, help="The same as --retries 0.")
MAX_RETRY_WAIT = _seconds("--max-retry-wait", limits.RETRY_WAIT_SECONDS, "Longest wait before asking again.")

REPEAT = _count("--repeat", 1, "Run each query N times; a query's own `repeat` comes first.")
PASS_RATE = click.option(
    "--pass-rate",
    type=option_type("pass_rate"),
    metavar="RATE",
    help="With repeats: the share of a query's runs that must pass, such as 0.8; without it, all must.",
)
BASELINE = click.option(
    "--baseline",
    type=option_type("baseline"),
    metavar="DIR",
    help="Compare with this run when all is done, and exit with 1 when a query is gone or changed for anything but the"
    " better. --scrub and --ignore say what does not count.",
)
IGNORE = click.option(
    "--ignore",
    type=option_type("ignore"),
    multiple=True,
    metavar="PATH",
    help="Leave out what stands there, such as calls[*].result.updated_at.",
)
SCRUB = click.option(
    "--scrub",
    type=option_type("scrub"),
    multiple=True,
    metavar="NAME|REGEX",
    help="Take for the same what differs only in this: uuid, timestamp, tmp, port, hash, or a regular expression.",
)
ALPHA = click.option(
    "--alpha",
    type=option_type("alpha"),
    default=0.05,
    show_default=True,
    metavar="P",
    help="With repeats: a change of a pass rate counts when chance brings it about less often than this.",
)
ON_DIVERGENCE = click.option(
    "--on-divergence",
    type=option_type("on_divergence"),
    default="continue",
    show_default=True,
    help="When a replayed call brings something else than was recorded: mark it and go on, fail the query, or stop it"
    " there. --scrub and --ignore say what does not count.",
)

OUT = click.option(
    "--out",
    type=option_type("out"),
    metavar="DIR",
    help="Folder of the run.  [default: outputs/<date>-<time>-<prompts>]",
)
LIMIT = click.option("--limit", type=option_type("limit"), metavar="N", help="Run the first N selected queries only.")
SHARD = click.option(
    "--shard",
    type=option_type("shard"),
    metavar="I/N",
    help="Run the I-th of N parts of the selected queries, one on each machine; mcprun merge makes one run of them.",
)
RAY = click.option(
    "--ray",
    type=option_type("ray"),
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Spread the queries over the actors of a Ray cluster: of HOST:PORT, of the one that this machine belongs to"
    " (auto), or of one that is started here (local, which may be left out).  [needs: pip install 'mcprun[ray]']",
)
RAY_ACTORS = click.option(
    "--ray-actors",
    type=option_type("ray_actors"),
    metavar="N",
    help="With --ray: actors, among which --concurrency and --servers are divided.  [default: the cluster's CPUs]",
)
FILTER = click.option(
    "--filter",
    "filters",
    type=option_type("filter"),
    multiple=True,
    metavar="PATTERN",
    help="Run queries whose id or a tag fits, such as 'add-*'; an exact id or tag wins over a pattern. May be given"
    " more than once.",
)
