"""The bounds of a run, each with a named default. Times are in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Self

from mcprun.errors import UsageError
from mcprun.option_kinds import MAX_COUNT, Amount, Kind, Whole, changed_fields, check_fields

CONNECT_SECONDS = 30.0
"""Starting a server and negotiating a protocol. Users can raise it, since `npx -y` may have to download first."""

REQUEST_SECONDS = 600.0
"""One model request. A long answer takes minutes if it is not streamed; both SDKs use ten minutes."""

CALL_SECONDS = 60.0
"""One tool call; the usual default of the MCP SDKs. A progress notification restarts it."""

MAX_CALL_SECONDS = 600.0
"""One tool call, however often it reports progress: twice what clients that extend calls usually allow."""

QUERY_SECONDS = 1800.0
"""One attempt at one query, all turns and calls together."""

RUN_SECONDS = 7 * 86_400.0
"""A whole run, including waiting. Other deadlines end anything that hangs long before; this one is for CI jobs."""

RESTARTS = 20
"""Restarts of servers that died, in the whole run. A query that kills its server costs up to three."""

MAX_TURNS = 25
"""Turns of one query. A model that calls tools in circles is stopped here, and the query fails."""

MAX_CALLS = 250
"""Tool calls of one query, all turns together. A model that makes more is stopped, and the query fails."""

MAX_TOKENS = 16_000
"""`max_tokens` of one model request. Newer models' thinking counts towards it, so a small bound truncates answers."""

RETRIES = 5
"""Retries of a model request. With back-off they bridge about half a minute of failures."""

RETRY_WAIT_SECONDS = 60.0
"""The longest wait before a retry, whatever `retry-after` asks for: some responses ask for weeks."""

CONCURRENCY = 8
"""Queries in flight at once."""

BATCH_QUERIES = 2000
"""Queries in flight at once if their turns go through Message Batches: nearly all of them only wait."""

BATCH_REQUESTS, BATCH_BYTES = 100_000, 256_000_000
"""The requests and bytes that one Message Batch may hold
(https://docs.claude.com/en/docs/build-with-claude/batch-processing)."""

BATCH_WAIT_SECONDS = 10.0
"""A batch is sent after this time without a new request, even if some queries are still active."""

BATCH_POLL_SECONDS = 60.0
"""The longest interval between two polls of a batch, which may take from minutes to a day."""

BATCH_LOST_SECONDS = 25 * 3600.0
"""A batch without news for this long is considered ended: the API gives up after 24 hours."""

BATCH_SKEW_SECONDS = 600.0
"""The tolerated difference between this machine's clock and the API's, in searches for a batch by creation time."""

BATCHES_LISTED = 10_000
"""Batches that are searched, newest first, for one whose id is unknown."""

BATCH_LIST_TRIES = 6
"""Tries at listing batches before mcprun continues without the list."""

BATCH_LOOK_TRIES = 60
"""Polls of a batch that may fail in a row: at the longest interval, that is an hour without the API."""

BATCH_RESULT_TRIES = 12
"""Tries at reading the results of an ended batch before the missing ones are given up."""

BATCH_TRIES = 3
"""The most batches that a request is sent in, if the API cancels it or does not process it in time."""

BATCH_CANCEL_SECONDS = 3.0
"""The wait of an interrupted run for a second Ctrl-C, which cancels its pending batches; else they stay pending."""

BATCH_SHARE = 0.5
"""The price of a token in a Message Batch, as a share of its regular price."""

LEAST_THINKING = 1024
"""The smallest thinking budget in tokens that the Messages API accepts."""

MAX_CACHE_MARKS = 4
"""The most blocks with `cache_control` that the Messages API accepts in one request."""

MAX_RESULT_BYTES = 10 * 1024 * 1024
"""One message of a server, typically a tool's result. The Messages API accepts requests of up to 32 MB."""

MAX_LOG_BYTES = 100 * 1024 * 1024
"""The maximum size of `server.log`: a server that floods its stderr must not fill the disk."""

MAX_NOISE = 100
"""Non-protocol lines on stdout, and warnings, that are recorded in one run's trace; the rest are counted."""

MAX_TRACE_CHARS = 1000
"""Characters of a server's message, log record or other output that are recorded in the trace."""

MAX_SERVER_REQUESTS = 100
"""Server requests, and log messages, that are recorded per query and outside queries; more requests are refused."""

MAX_PROGRESS = 20
"""Progress notifications that are recorded per call; the rest are counted."""

MAX_ROUNDS = 10
"""Rounds in which a server may request input before it must answer a call; the MCP SDKs' own default."""

MAX_SAMPLING = 10
"""Sampling requests that servers may send during one query."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""One line of a prompts file: twice what the Messages API accepts."""

MAX_TOOL_PAGES = 100
"""Pages of `tools/list`: a server whose cursor never ends must not block the start."""


AUTO, LEGACY, MODERN = "auto", "legacy", "2026-07-28"
"""The protocol to use: the one that is negotiated, that of servers before 2026-07-28, or that version."""

PROVIDERS = ("bedrock", "vertex", "foundry")
"""Other providers of Claude: `--model bedrock:NAME` selects a provider, and the model by the provider's own name."""


MAX_SECONDS = 366 * 86_400.0
"""The longest time that an option accepts."""

MAX_REPEATS = 10_000
"""Repeats of one query: each keeps its key in memory and adds a line to the run."""

_SECONDS = Amount(MAX_SECONDS, "seconds")

KINDS: Mapping[str, Kind] = {
    "connect_seconds": _SECONDS,
    "request_seconds": _SECONDS,
    "call_seconds": _SECONDS,
    "max_call_seconds": _SECONDS,
    "query_seconds": _SECONDS,
    "run_seconds": _SECONDS,
    "restarts": Whole(0),
    "retries": Whole(0, 1_000),
    "retry_wait_seconds": _SECONDS,
    "max_result_bytes": Whole(1024),
    "max_turns": Whole(),
    "max_calls": Whole(),
    "max_sampling": Whole(0),
    "max_tokens": Whole(),
    "concurrency": Whole(1, 10_000),
    "batch_queries": Whole(1, 1_000_000),
    "batch_wait": _SECONDS,
    "batch_poll": _SECONDS,
    "max_failures": Whole(),
    "budget_tokens": Whole(1, 1_000 * MAX_COUNT),
    "budget_usd": Amount(MAX_COUNT, "dollars"),
}
"""The kind of each field of `Limits`, shared with the flags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one run. A query's own `timeout`, `max_turns` and `max_tokens` take precedence.

    Attributes:
        connect_seconds: Starting a server and negotiating a protocol; 30 s by default.
        request_seconds: One model request; 10 min by default.
        call_seconds: One tool call; 1 min by default. Progress extends it.
        max_call_seconds: One tool call with its extensions. None is 10 min, or `call_seconds` if that is longer.
        query_seconds: One attempt at a query, all turns and calls together; 30 min by default.
        run_seconds: The whole run; 7 days by default.
        restarts: Restarts of servers that died, in the whole run; 20 by default.
        retries: Retries of a model request; 5 by default.
        retry_wait_seconds: The longest wait before a retry; 1 min by default.
        max_result_bytes: One message of a server; 10 MiB by default.
        max_turns: Turns of one query; 25 by default.
        max_calls: Tool calls of one query; 250 by default.
        max_sampling: Sampling requests of a server during one query; 10 by default. 0 offers none.
        max_tokens: Tokens of one reply of the model, with its thinking; 16,000 by default.
        concurrency: Queries that are active at once; 8 by default. Those that wait for a batch are not active.
        batch_queries: Queries in flight at once with `batch_api`. None is 2,000.
        batch_wait: Seconds without a new request after which a batch is sent; 10 by default.
        batch_poll: The longest interval between two polls of a batch, in seconds; 60 by default.
        max_failures: Queries that may fail or end in an error before the run ends. None is any number.
        budget_tokens: Tokens that the run may use. None is any number.
        budget_usd: US dollars that the run may cost. None is any amount.
    """

    connect_seconds: float = CONNECT_SECONDS
    request_seconds: float = REQUEST_SECONDS
    call_seconds: float = CALL_SECONDS
    max_call_seconds: float | None = None
    query_seconds: float = QUERY_SECONDS
    run_seconds: float = RUN_SECONDS
    restarts: int = RESTARTS
    retries: int = RETRIES
    retry_wait_seconds: float = RETRY_WAIT_SECONDS
    max_result_bytes: int = MAX_RESULT_BYTES
    max_turns: int = MAX_TURNS
    max_calls: int = MAX_CALLS
    max_sampling: int = MAX_SAMPLING
    max_tokens: int = MAX_TOKENS
    concurrency: int = CONCURRENCY
    batch_queries: int | None = None
    batch_wait: float = BATCH_WAIT_SECONDS
    batch_poll: float = BATCH_POLL_SECONDS
    max_failures: int | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None

    def __repr__(self) -> str:
        """Return the limits that are not the default: `Limits(max_turns=5)`."""
        return changed_fields(self)

    def __post_init__(self) -> None:
        """Raise `UsageError` for limits that contradict each other; `checked` validates each one by itself."""
        longest, call = self.max_call_seconds, self.call_seconds
        if {type(longest), type(call)} <= {int, float} and longest and 0 < longest < call:
            message = f"{longest:g} s is less than the {call:g} s of --call-timeout"
            raise UsageError(f"--max-call-timeout must be at least --call-timeout: {message}")

    def checked(self) -> Self:
        """Return a copy with all values validated as those of flags. Raises `UsageError` for one out of bounds."""
        limits = copy(self)
        check_fields(limits, KINDS, "limits.")
        return limits

    @property
    def max_total_call_seconds(self) -> float:
        """The maximum seconds of one call, however often it reports progress."""
        if self.max_call_seconds is None:
            return max(MAX_CALL_SECONDS, self.call_seconds)
        return self.max_call_seconds

    def max_in_flight(self, *, is_batched: bool) -> int:
        """Return the maximum number of queries in flight at once, including those that wait for a batch."""
        return (self.batch_queries or BATCH_QUERIES) if is_batched else self.concurrency
