"""Calls per second of scripts compared with the bare `Client.call_tool`, and the gain from more server processes.

Wall time with a server built on the SDK is what the limits promise. Processor time with a server that costs almost
nothing is what mcprun adds, although it may have the other core to itself. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks import SDK_SERVER, SERVER
from tests.benchmarks.batches import SCRIPT, batch, floor, prompts
from tests.benchmarks.processes import Cost
from tests.benchmarks.ratios import Figure, compare

CONCURRENCY = 64
ALLOWED = 1.25
"""Equal to at least 0.8 times the calls per second."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure queries with one and with ten calls, their replays, and a busy server on one and on several processes."""
    for queries, calls in ((400, 10), (4_000, 1)):
        yield from _figures(folder, rounds, queries, calls, SDK_SERVER, lambda cost: cost.wall, "s of wall")
    for queries, calls in ((1_000, 10), (4_000, 1)):
        yield from _figures(folder, rounds, queries, calls, SERVER, lambda cost: cost.processor, "s of processor")
    if sys.platform != "linux":
        raise NotImplementedError
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


def _figures(
    folder: Path, rounds: int, queries: int, calls: int, server: Path, metric: Callable[[Cost], float], unit: str
) -> Iterator[Figure]:
    """Measure scripts with `calls` calls and their replays against the bare loop. `metric` selects the cost to compare."""
    file, recording = prompts(folder, queries, calls), folder / f"{server.stem}-{queries}"
    batch(folder, file, *SCRIPT, server=str(server), out=recording)
    replay = ("--model", f"replay:{recording}", "--concurrency", str(CONCURRENCY))
    text = f"calls: {queries * calls:,}, {calls} a query" + (", the SDK's server" if server is SDK_SERVER else "")
    for name, flags in ((text, SCRIPT), (f"{text}, played back", replay)):
        yield compare(
            name,
            lambda flags=flags: metric(batch(folder, file, *flags, server=str(server))),  # type: ignore[misc]
            lambda: metric(floor("call", queries * calls, CONCURRENCY, str(server))),
            allowed=ALLOWED,
            rounds=rounds,
            unit=unit,
        )
