"""How long a run takes whose model takes its time: wall time against what waiting alone would take.

The model's answers come after so many seconds, and a query has two turns: with nothing else to do, a run takes that
twice for each round of its workers, and the server's start comes before. To be measured on a machine that does nothing
else.
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
    """Measure a slow model against the ideal, a quick one against the bare loop of the SDKs."""
    queries, concurrency, seconds = 320, 32, 0.25
    ideal = queries / concurrency * TURNS * seconds
    file = prompts(folder, queries)
    for start in (0, 1):
        server = f"{sys.executable} {SERVER} 0 {start}"
        with serving(seconds) as url:
            yield compare(
                f"latency: {queries} queries, {seconds * 1000:.0f} ms" + (f", a server of {start} s" if start else ""),
                lambda server=server, url=url: batch(folder, file, *_flags(url, concurrency), server=server).wall,  # type: ignore[misc]
                # Ten percent more than the waiting is allowed, and the server's own start in full.
                lambda start=start: ideal + _started_in(start) / ALLOWED,  # type: ignore[misc]
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


def _started_in(start: float) -> float:
    """Start the server, which ends when its stdin does, and give how long that takes."""
    return cost_of([sys.executable, str(SERVER), "0", str(start)]).wall
