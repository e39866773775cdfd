"""How many calls a second a script makes, against the bare `Client.call_tool`; and what more servers bring.

By the clock, with a server of the SDK: that is what is promised. In processor time, with a server that costs next to
nothing: that is what mcprun adds, though it may have the other core for itself. To be measured on a machine that does
nothing else.
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
"""At least 0.8 of the calls a second."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure queries of one call and of ten, a replay, and a server that computes, on one process and on several."""
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
    folder: Path, rounds: int, queries: int, calls: int, server: Path, taken: Callable[[Cost], float], unit: str
) -> Iterator[Figure]:
    """Measure scripts of so many calls, and the same played back, against the bare loop; `taken` is what of them."""
    file, recorded = prompts(folder, queries, calls), folder / f"{server.stem}-{queries}"
    batch(folder, file, *SCRIPT, server=str(server), out=recorded)
    replay = ("--model", f"replay:{recorded}", "--concurrency", str(CONCURRENCY))
    text = f"calls: {queries * calls:,}, {calls} a query" + (", the SDK's server" if server is SDK_SERVER else "")
    for name, flags in ((text, SCRIPT), (f"{text}, played back", replay)):
        yield compare(
            name,
            lambda flags=flags: taken(batch(folder, file, *flags, server=str(server))),  # type: ignore[misc]
            lambda: taken(floor("call", queries * calls, CONCURRENCY, str(server))),
            allowed=ALLOWED,
            rounds=rounds,
            unit=unit,
        )
