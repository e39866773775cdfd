"""How many calls a second a script makes, against the bare `Client.call_tool`; and what more servers bring."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import SERVER
from tests.benchmarks.batches import SCRIPT, batch, floor, prompts
from tests.benchmarks.ratios import Figure, compare

CONCURRENCY = 64
ALLOWED = 1.25
"""At least 0.8 of the calls a second."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure queries of one call and of ten, a replay, and a server that computes, on one process and on several."""
    for queries, calls in ((1_000, 10), (4_000, 1)):
        file = prompts(folder, queries, calls)
        yield compare(
            f"calls: {queries * calls:,}, {calls} a query",
            lambda file=file: batch(folder, file, *SCRIPT).processor,  # type: ignore[misc]
            lambda made=queries * calls: floor("call", made, CONCURRENCY).processor,  # type: ignore[misc]
            allowed=ALLOWED,
            rounds=rounds,
        )
    queries, calls = 1_000, 10
    file, recorded = prompts(folder, queries, calls), folder / "recorded"
    batch(folder, file, *SCRIPT, out=recorded)
    yield compare(
        f"calls: {queries * calls:,}, played back",
        lambda: batch(folder, file, "--model", f"replay:{recorded}", "--concurrency", str(CONCURRENCY)).processor,
        lambda: floor("call", queries * calls, CONCURRENCY).processor,
        allowed=ALLOWED,
        rounds=rounds,
    )
    cores = len(os.sched_getaffinity(0))
    file, slow = prompts(folder, 500, 1), f"{sys.executable} {SERVER} 0.01"
    yield compare(
        f"calls: a busy server on {cores} processes, and on one",
        lambda: batch(folder, file, *SCRIPT, "--servers", str(cores), server=slow).wall,
        lambda: batch(folder, file, *SCRIPT, server=slow).wall,
        allowed=ALLOWED / cores + 0.1,
        rounds=rounds,
        unit="s of wall",
    )
