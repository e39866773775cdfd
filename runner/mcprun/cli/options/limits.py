"""Options that limit a run, and those for retries."""

from __future__ import annotations

from typing import Any

import click

from mcprun import limits
from mcprun.cli.options.numbers import count, seconds
from mcprun.cli.options.option import HeadedOption, Heading, option
from mcprun.cli.options.types import option_type

MAX_TURNS = count(
    "--max-turns",
    heading=Heading.LIMITS,
    default=limits.MAX_TURNS,
    help="Turns per query",
    details="Maximum turns per query; a query that needs more fails.",
)
MAX_CALLS = count(
    "--max-calls",
    heading=Heading.LIMITS,
    default=limits.MAX_CALLS,
    help="Tool calls per query",
    details="Maximum tool calls per query; a query that needs more fails.",
)
MAX_SAMPLING = count(
    "--max-sampling",
    heading=Heading.LIMITS,
    default=limits.MAX_SAMPLING,
    help="Sampling requests per query; 0 for none",
    details="Maximum sampling requests per query; 0 disables sampling.",
)
MAX_TOKENS = count(
    "--max-tokens",
    heading=Heading.LIMITS,
    default=limits.MAX_TOKENS,
    help="Tokens per reply, including thinking",
    details="Maximum tokens per reply, including thinking.",
)
MAX_RESULT_BYTES = option(
    "--max-result-bytes",
    heading=Heading.LIMITS,
    type=option_type("max_result_bytes"),
    default=limits.MAX_RESULT_BYTES,
    metavar="N",
    help="Size of a server's message in bytes",
    details="Maximum size of a server's message in bytes; a longer result becomes an error result.",
    default_text="10 MiB",
)


class _MaxFailures(HeadedOption):
    """`--max-failures N`, and `-x` for `--max-failures 1`, as in pytest."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Add the option, and its short form without a value."""
        super().add_to_parser(parser, ctx)
        parser.add_option(obj=self, opts=["-x"], dest=self.name, action="store_const", const="1")


MAX_FAILURES = option(
    "--max-failures",
    cls=_MaxFailures,
    heading=Heading.LIMITS,
    type=option_type("max_failures"),
    metavar="N",
    help="Stop after N that did not pass; -x after one",
    details="Stop after N queries that did not pass. -x is --max-failures 1.",
)
BUDGET_TOKENS = option(
    "--budget-tokens",
    heading=Heading.LIMITS,
    type=option_type("budget_tokens"),
    metavar="N",
    help="Stop when the model has used N tokens",
    details="Stop when the model has used N tokens, including cached ones.",
)
BUDGET_USD = option(
    "--budget-usd",
    heading=Heading.LIMITS,
    type=option_type("budget_usd"),
    metavar="DOLLARS",
    help="Stop when the model has cost this many dollars",
    details="Stop when the model has cost this many US dollars. Requires: pip install 'mcprun[prices]'.",
)
CONNECT_TIMEOUT = seconds(
    "--connect-timeout",
    heading=Heading.LIMITS,
    default=limits.CONNECT_SECONDS,
    help="Time to start a server and list its tools",
    details="Time limit for starting a server and listing its tools.",
)
REQUEST_TIMEOUT = seconds(
    "--request-timeout",
    heading=Heading.LIMITS,
    default=limits.REQUEST_SECONDS,
    help="Time for a model request",
    details="Time limit for a model request.",
)
CALL_TIMEOUT = seconds(
    "--call-timeout",
    heading=Heading.LIMITS,
    default=limits.CALL_SECONDS,
    help="Time for a tool call without progress",
    details="Time limit for a tool call, restarted by progress. A call that exceeds it returns an error to the model.",
)
MAX_CALL_TIMEOUT = option(
    "--max-call-timeout",
    heading=Heading.LIMITS,
    type=option_type("max_call_timeout"),
    metavar="SECONDS",
    help="Time for a tool call with progress [10 min]",
    details="Total time limit for a tool call that reports progress.",
    default_text="10 min, or --call-timeout if longer",
)
QUERY_TIMEOUT = seconds(
    "--query-timeout",
    heading=Heading.LIMITS,
    default=limits.QUERY_SECONDS,
    help="Time for a query with all its turns",
    details="Time limit for a query, with all its turns and calls.",
)
RUN_TIMEOUT = seconds(
    "--run-timeout",
    heading=Heading.LIMITS,
    default=limits.RUN_SECONDS,
    help="Time for the whole run",
    details="Time limit for the whole run, including waiting.",
)
RETRIES = count(
    "--retries",
    heading=Heading.RETRIES,
    default=limits.RETRIES,
    help="Retries of a model request",
    details="Maximum retries of a model request if the API throttles, fails or stops responding. Tool calls are not"
    " retried.",
)
NO_RETRY = option("--no-retry/--retry", heading=Heading.RETRIES, default=False, help="Same as --retries 0")
MAX_RETRY_WAIT = seconds(
    "--max-retry-wait",
    heading=Heading.RETRIES,
    default=limits.RETRY_WAIT_SECONDS,
    help="Longest wait before a retry",
    details="Maximum wait before a retry.",
)
RESTARTS = count(
    "--restarts",
    heading=Heading.RETRIES,
    default=limits.RESTARTS,
    help="Server restarts per run",
    details="Maximum server restarts per run. Queries interrupted by a crash are retried.",
)
