"""What saturates first in a window of many queries: the cost of a query with many in flight, and of the server's share.

A query costs mcprun the same processor time however many are in flight, so one core sets the queries per second. The
part of a server is that of a call; a server process is saturated when it has used a core as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import SDK_SERVER, SERVER
from tests.benchmarks.api import serving
from tests.benchmarks.batches import batch, prompts
from tests.benchmarks.processes import Cost
from tests.benchmarks.ratios import Figure, compare, figure

FEW, MANY = 2_000, 10_000
SOME, ALL = 64, 512
SECONDS = 0.05
ALLOWED = 1.15
SERVER_ALLOWED = 1.0
"""Self-imposed limit. Above it, queries with one call would saturate a server of the Python SDK before mcprun."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure queries of two turns and one call, with an API that answers after 50 ms."""
    few, many = prompts(folder, FEW), prompts(folder, MANY)
    with serving(SECONDS) as url:

        def run(file: Path, server: Path, in_flight: int) -> Cost:
            flags = ("--base-url", url, "--model", "claude-sonnet-5-5", "--concurrency", str(in_flight))
            return batch(folder, file, *flags, server=str(server))

        def shares() -> tuple[float, float]:
            """Return the processor time of the server, and of mcprun, for the queries that `MANY` has more."""
            less, more = (run(file, SDK_SERVER, SOME) for file in (few, many))
            own = more.processor - less.processor
            return more.together - less.together - own, own

        yield compare(
            f"in-flight: {MANY:,} queries, {ALL} in flight, and {SOME}",
            lambda: run(many, SERVER, ALL).processor,
            lambda: run(many, SERVER, SOME).processor,
            allowed=ALLOWED,
            rounds=rounds,
        )
        yield figure(
            f"in-flight: a server of the SDK, and mcprun, {MANY - FEW:,} queries",
            [shares() for _ in range(rounds)],
            allowed=SERVER_ALLOWED,
        )
