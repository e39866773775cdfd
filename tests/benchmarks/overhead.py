"""The overhead of `mcprun batch`: processor time of the process compared with a bare loop over both SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.api import serving
from tests.benchmarks.batches import batch, floor, prompts
from tests.benchmarks.ratios import Figure, compare

QUERIES, CONCURRENCY = 2_000, 64
ALLOWED = 1.25


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure conversations of two turns with one call, with an API that answers at once."""
    file = prompts(folder, QUERIES)
    with serving() as url:
        flags = ("--base-url", url, "--model", "claude-sonnet-5-5", "--concurrency", str(CONCURRENCY))
        yield compare(
            f"overhead: {QUERIES:,} queries of two turns",
            lambda: batch(folder, file, *flags).processor,
            lambda: floor("talk", url, QUERIES, CONCURRENCY).processor,
            allowed=ALLOWED,
            rounds=rounds,
        )
