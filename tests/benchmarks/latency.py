"""Wall time of a run with a slow model, compared with the pure waiting time.

The model answers after a fixed delay and a query has two turns. Ideally, a run takes two delays for each round of its
workers, after the start of the server. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import SERVER
from tests.benchmarks.api import serving
from tests.benchmarks.batches import batch, floor, prompts
from tests.benchmarks.processes import cost_of
from tests.benchmarks.ratios import Figure, compare

TURNS = 2
ALLOWED = 1.10
UNIT = "s of wall"


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure a slow model against the pure waiting time, and slow and fast ones against the bare loop of the SDKs."""
    queries, concurrency, seconds = 320, 32, 0.25
    ideal = queries / concurrency * TURNS * seconds
    file = prompts(folder, queries)
    for start in (0, 1):
        server = f"{sys.executable} {SERVER} 0 {start}"
        with serving(seconds) as url:
            yield compare(
                f"latency: {queries} queries, {seconds * 1000:.0f} ms" + (f", a server of {start} s" if start else ""),
                lambda server=server, url=url: batch(folder, file, *_flags(url, concurrency), server=server).wall,  # type: ignore[misc]
                # The limit of 10 % applies to the waiting time only; the server's start counts in full.
                lambda start=start: ideal + _start_seconds(start) / ALLOWED,  # type: ignore[misc]
                allowed=ALLOWED,
                rounds=rounds,
                unit=UNIT,
            )
    for queries, concurrency, seconds in ((320, 32, 0.25), (200, 16, 0.05)):
        yield _against_the_bare_loop(folder, queries, concurrency, seconds, rounds)


def _against_the_bare_loop(folder: Path, queries: int, concurrency: int, seconds: float, rounds: int) -> Figure:
    file = prompts(folder, queries)
    with serving(seconds) as url:
        return compare(
            f"latency: {queries} queries, {seconds * 1000:.0f} ms, and the bare loop",
            lambda: batch(folder, file, *_flags(url, concurrency)).wall,
            lambda: floor("talk", url, queries, concurrency).wall,
            allowed=ALLOWED,
            rounds=rounds,
            unit=UNIT,
        )


def _flags(url: str, concurrency: int) -> tuple[str, ...]:
    return ("--base-url", url, "--model", "claude-sonnet-5-5", "--concurrency", str(concurrency))


def _start_seconds(start: float) -> float:
    """Return the seconds that the server takes to start and to exit at the end of its stdin."""
    return cost_of([sys.executable, str(SERVER), "0", str(start)]).wall
