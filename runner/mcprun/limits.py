"""How long and how much: every bound of a run, with its named default. Times are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Self

from mcprun.errors import UsageError
from mcprun.option_kinds import MOST, Amount, Kind, Whole, check_fields

CONNECT_SECONDS = 30.0
"""Starting a server and agreeing on a protocol; `npx -y` may have to download first, the user can raise it."""

REQUEST_SECONDS = 600.0
"""One model request. A long answer takes minutes when it is not streamed; both SDKs use ten."""

CALL_SECONDS = 60.0
"""One tool call; the usual default of the MCP SDKs. A progress notification restarts it."""

MAX_CALL_SECONDS = 600.0
"""One tool call, however often it reports progress: twice what clients that extend calls usually allow."""

QUERY_SECONDS = 1800.0
"""One attempt at one query, all turns and calls together."""

RUN_SECONDS = 7 * 86_400.0
"""A whole run, waiting included. What hangs is ended by the other deadlines long before; this one is for CI jobs."""

RESTARTS = 20
"""Times that a server which died is started again, in the whole run. A query that kills it costs up to three."""

MAX_TURNS = 25
"""Turns of one query. A model that calls tools in circles ends here, and the query fails."""

MAX_CALLS = 250
"""Tool calls of one query, all turns together. A model that calls more ends here, and the query fails."""

MAX_TOKENS = 16_000
"""`max_tokens` of one model request. Newer models think within it, so a small bound cuts answers short."""

RETRIES = 5
"""Tries at a model request after the first one. With back-off that is about half a minute of trouble."""

RETRY_WAIT_SECONDS = 60.0
"""The longest wait before a try, whatever the API asks for: some answers ask for weeks."""

CONCURRENCY = 8
"""Queries in flight at once."""

BATCH_QUERIES = 2000
"""Queries in flight at once when their turns go through Message Batches: nearly all of them wait, none works."""

BATCH_REQUESTS, BATCH_BYTES = 100_000, 256_000_000
"""What one Message Batch may hold (https://docs.claude.com/en/docs/build-with-claude/batch-processing)."""

BATCH_WAIT_SECONDS = 10.0
"""A batch goes out although some queries are still working when nothing more has joined it for so long."""

BATCH_POLL_SECONDS = 60.0
"""The longest wait between two looks at a batch, which may take from minutes to a day."""

BATCH_LOST_SECONDS = 25 * 3600.0
"""A batch that has not been heard of for so long has ended: the API gives up after 24 hours."""

BATCH_SKEW_SECONDS = 600.0
"""How far the clock of this machine may be from the API's when a batch is searched for by the time it was created."""

BATCHES_LISTED = 10_000
"""Batches that are searched through, the newest first, for one whose id is not known."""

BATCH_LIST_TRIES = 6
"""Times that the API is asked for such a list before it is done without."""

BATCH_LOOK_TRIES = 60
"""Looks at a batch that may fail in a row: with the longest wait between two, that is an hour without the API."""

BATCH_RESULT_TRIES = 12
"""Times that the results of a batch that has ended are read before those that can't be are given up."""

BATCH_TRIES = 3
"""Batches that a request may be in, where the API cancels it or does not come to it in time."""

BATCH_REGRET_SECONDS = 3.0
"""How long a run that was interrupted waits for a second Ctrl-C before it leaves its pending batches alone."""

BATCH_SHARE = 0.5
"""What a token costs in a Message Batch, of its price."""

LEAST_THINKING = 1024
"""Tokens: the Messages API accepts no smaller budget for thinking."""

MAX_CACHE_MARKS = 4
"""Blocks with `cache_control` that the Messages API accepts in one request."""

MAX_RESULT_BYTES = 10 * 1024 * 1024
"""One message of a server, a tool's result above all. The Messages API takes requests of up to 32 MB."""

MAX_LOG_BYTES = 100 * 1024 * 1024
"""What `server.log` holds at most: a server that floods its stderr must not fill the disk."""

MAX_NOISE = 100
"""Lines of noise on stdout, and of warnings, that one run's trace holds; the rest is counted."""

MAX_ASKED = 100
"""Requests of a server, and its log messages, that are told of one query, and of none; more requests are refused."""

MAX_PROGRESS = 20
"""Notifications of progress that are told of one call; the rest is counted."""

MAX_ROUNDS = 10
"""Rounds in which a server may ask for input before it must answer a call; the MCP SDKs' own default."""

MAX_SAMPLING = 10
"""Times that the servers may ask the model during one query."""

MAX_LINE_BYTES = 64 * 1024 * 1024
"""One line of a prompts file: twice what the Messages API takes."""

MAX_TOOL_PAGES = 100
"""Pages of `tools/list`: a server whose cursor never ends must not hang the start."""


AUTO, LEGACY, MODERN = "auto", "legacy", "2026-07-28"
"""Which protocol is spoken: what a first negotiation finds out, that of servers before 2026-07-28, or that version."""

PROVIDERS = ("bedrock", "vertex", "foundry")
"""Who else offers Claude: `--model bedrock:NAME` names one of them, and the model as it calls it."""


MOST_SECONDS = 366 * 86_400.0
"""The longest time that an option takes."""

MOST_REPEATS = 10_000
"""Repeats of one query: each is held in memory by its key, and is a line of the run."""

_SECONDS = Amount(MOST_SECONDS, "seconds")

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
    "budget_tokens": Whole(1, 1_000 * MOST),
    "budget_usd": Amount(MOST, "dollars"),
}
"""The kind of each field of `Limits`: the flags have the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one run; `None` is no bound. A query's own `timeout`, `max_turns` and `max_tokens` come first.

    Progress extends a call up to `max_call_seconds`; if that is None, up to 10 minutes, or `call_seconds` if longer.
    `concurrency` is how many queries work at once: those that wait for a batch do not, and of them there may be
    `batch_queries` in all. `batch_wait` and `batch_poll` are seconds.
    `budget_tokens`, `budget_usd` (US dollars) and `max_failures` (queries that did not pass) are of the whole run.
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

    def __post_init__(self) -> None:
        """Raise `UsageError` for limits that contradict each other; `checked` looks at each by itself."""
        longest, call = self.max_call_seconds, self.call_seconds
        if {type(longest), type(call)} <= {int, float} and longest and 0 < longest < call:
            message = f"{longest:g} s is less than the {call:g} s of --call-timeout"
            raise UsageError(f"--max-call-timeout must be at least --call-timeout: {message}")

    def checked(self) -> Self:
        """Return these limits with values as the flags give them. Raises `UsageError` for one out of its bounds."""
        found = copy(self)
        check_fields(found, KINDS, "limits.")
        return found

    @property
    def most_call_seconds(self) -> float:
        """Seconds that one call may take, however often it reports progress."""
        if self.max_call_seconds is None:
            return max(MAX_CALL_SECONDS, self.call_seconds)
        return self.max_call_seconds

    def in_flight(self, *, is_batched: bool) -> int:
        """How many queries may be in flight at once, those included that wait for a batch."""
        return (self.batch_queries or BATCH_QUERIES) if is_batched else self.concurrency
