"""Calls per second of scripts compared with the bare `Client.call_tool`, and the gain from more server processes.

Wall time with a server built on the SDK is what the limits promise. Processor time with a server that costs almost
nothing is what mcprun adds, although it may have the other core to itself. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import SDK_SERVER, SERVER
from tests.benchmarks.batches import SCRIPT, batch, floor, prompts
from tests.benchmarks.processes import Cost
from tests.benchmarks.ratios import Figure, compare

CONCURRENCY = 64
ALLOWED = 1.25
"""Equal to at least 0.8 times the calls per second."""

ALLOWED_ONE = 1.6
"""The limit for queries with one call of a server that answers at once, where a query costs more than its call."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure queries with one and with ten calls, their replays, and a busy server on one and on several processes."""
    for queries, calls in ((400, 10), (4_000, 1)):
        yield from _figures(folder, rounds, queries, calls, _Compared(SDK_SERVER, "s of wall", ALLOWED))
    for queries, calls, allowed in ((1_000, 10, ALLOWED), (4_000, 1, ALLOWED_ONE)):
        yield from _figures(folder, rounds, queries, calls, _Compared(SERVER, "s of processor", allowed))
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


@dataclass(frozen=True, slots=True)
class _Compared:
    """What is compared with the bare loop: the costs in `unit` of calls to a server, which may be `allowed` times as high."""

    server: Path
    unit: str
    allowed: float

    def cost(self, cost: Cost) -> float:
        """Return the cost to compare."""
        return cost.wall if self.unit == "s of wall" else cost.processor


def _figures(folder: Path, rounds: int, queries: int, calls: int, compared: _Compared) -> Iterator[Figure]:
    """Measure scripts with `calls` calls and their replays against the bare loop."""
    server = str(compared.server)
    file, recording = prompts(folder, queries, calls), folder / f"{compared.server.stem}-{queries}"
    batch(folder, file, *SCRIPT, server=server, out=recording)
    replay = ("--model", f"replay:{recording}", "--concurrency", str(CONCURRENCY))
    text = f"calls: {queries * calls:,}, {calls} a query" + (
        ", the SDK's server" if compared.server is SDK_SERVER else ""
    )
    for name, flags in ((text, SCRIPT), (f"{text}, played back", replay)):
        yield compare(
            name,
            lambda flags=flags: compared.cost(batch(folder, file, *flags, server=server)),  # type: ignore[misc]
            lambda: compared.cost(floor("call", queries * calls, CONCURRENCY, server)),
            allowed=compared.allowed,
            rounds=rounds,
            unit=compared.unit,
        )
