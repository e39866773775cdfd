"""A run of a million queries: its memory after a tenth and at the end, and the cost of resuming it.

Scripts run against a server in the same process. This takes over 15 minutes, so the suite runs only when it is named.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.benchmarks import memory
from tests.benchmarks.batches import prompts
from tests.benchmarks.processes import cost_of, resident
from tests.benchmarks.ratios import Figure, compare

QUERIES = 1_000_000
FLAT = 1.5
"""Memory may grow only by a digest and a transcript position per query, about 80 bytes."""

SECONDS = 0.5
"""Interval at which progress and memory are polled."""


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure once, whatever `rounds` is."""
    file, run = prompts(folder, QUERIES), folder / f"run-{QUERIES}"
    at_a_tenth, at_the_end = _profile(folder, file, run)
    yield compare(
        f"million: memory at the end, and at {QUERIES // 10:,}",
        lambda: at_the_end,
        lambda: at_a_tenth,
        allowed=FLAT,
        rounds=1,
        unit="MB",
    )
    yield compare(
        f"million: resuming with {memory.SHORT:,} to do",
        lambda: memory.resume(folder, QUERIES).processor,
        lambda: cost_of([sys.executable, "-c", memory.READ, str(file), str(run / "transcripts.jsonl")]).processor,
        allowed=memory.RESUMING,
        rounds=1,
    )


def _profile(folder: Path, file: Path, run: Path) -> tuple[float, float]:
    """Run all queries. Return the resident megabytes after a tenth of them, and the maximum from then on."""
    shutil.rmtree(run, ignore_errors=True)
    transcripts, size, at_a_tenth, limit = run / "transcripts.jsonl", 0, 0.0, 0.0
    with subprocess.Popen([sys.executable, "-c", memory.RUN, str(file), str(run)], **memory.place(folder)) as process:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS)
            now = resident(process.pid)
            limit = max(limit, now)
            size = size or _size(transcripts, QUERIES // 1_000)
            if not at_a_tenth and size and transcripts.stat().st_size >= size * 100:
                at_a_tenth = limit = now
    if process.returncode or not at_a_tenth:
        raise RuntimeError(f"a run of {QUERIES:,} queries ended with {process.returncode}")
    return at_a_tenth, limit


def _size(transcripts: Path, lines: int) -> int:
    """Return the size in bytes of the first `lines` transcripts, or 0 if there are fewer."""
    if not transcripts.exists():
        return 0
    with transcripts.open("rb") as stream:
        sizes = [len(line) for line, _ in zip(stream, range(lines), strict=False)]
    return sum(sizes) if len(sizes) == lines else 0
