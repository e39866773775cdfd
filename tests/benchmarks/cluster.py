"""The cost of Ray: the writer's processor time, and wall time with two actors compared with none.

Starts a local Ray cluster, so the suite runs only when it is named. Measure on an otherwise idle machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.batches import SCRIPT, batch, prompts
from tests.benchmarks.ratios import Figure, figure

FEW, MANY = 2_000, 10_000
RAY = ("--ray", "--ray-actors", "2")
WRITER, WALL = 2.5, 2.0
"""Self-imposed limits. The writer receives every event, and the actors share two cores with it and with Ray."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure the difference between 10,000 and 2,000 queries, which excludes start-up."""
    files = {queries: prompts(folder, queries) for queries in (FEW, MANY)}

    def extra_cost(*flags: str) -> tuple[float, float]:
        few, many = (batch(folder, files[queries], *SCRIPT, *flags) for queries in (FEW, MANY))
        return many.processor - few.processor, many.wall - few.wall

    costs_by_round = [(extra_cost(*RAY), extra_cost()) for _ in range(rounds)]
    processors, walls = ([(ray[at], without_ray[at]) for ray, without_ray in costs_by_round] for at in (0, 1))
    text = f"ray: {MANY - FEW:,} queries"
    yield figure(f"{text}, the writer, and all without Ray", processors, allowed=WRITER)
    yield figure(f"{text}, two actors, and without Ray", walls, allowed=WALL, unit="s of wall")
