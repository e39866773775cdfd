"""What Ray costs: the one writer's processor time, and how long the queries take with two actors and without.

Starts a cluster of Ray on this machine, so it is only run when it is named. To be measured on a machine that does
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.batches import SCRIPT, batch, prompts
from tests.benchmarks.ratios import Figure, figure

FEW, MANY = 2_000, 10_000
RAY = ("--ray", "--ray-actors", "2")
WRITER, WALL = 2.5, 2.0
"""Bounds of our own. The writer is sent every event of every query; and the actors share two cores with it and with Ray."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure what 10,000 queries take more than 2,000, so that no start is counted."""
    files = {queries: prompts(folder, queries) for queries in (FEW, MANY)}

    def more(*flags: str) -> tuple[float, float]:
        few, many = (batch(folder, files[queries], *SCRIPT, *flags) for queries in (FEW, MANY))
        return many.processor - few.processor, many.wall - few.wall

    taken = [(more(*RAY), more()) for _ in range(rounds)]
    processors, walls = ([(ray[at], alone[at]) for ray, alone in taken] for at in (0, 1))
    text = f"ray: {MANY - FEW:,} queries"
    yield figure(f"{text}, the writer, and all without Ray", processors, allowed=WRITER)
    yield figure(f"{text}, two actors, and without Ray", walls, allowed=WALL, unit="s of wall")
