"""The same queries run by mcprun, by other programs and by a bare loop over the SDKs.

All use one stub API that answers after 50 ms, and one server program over stdio. The API counts requests, to verify that
each ran two turns per query and returned each result. The first run installs the other programs, which takes minutes and
2 GB of `.cache`, so the suite runs only when it is named. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mcprun
from tests.benchmarks import alternatives, latency, overhead
from tests.benchmarks.alternatives import MODEL, Alternative
from tests.benchmarks.api import RequestCounts, request_counts, serving
from tests.benchmarks.batches import batch, floor, prompts
from tests.benchmarks.processes import Cost, cost_of
from tests.benchmarks.ratios import Figure, figure

QUERIES, CONCURRENCY, SECONDS = 200, 16, 0.05
AT_MOST_EQUAL = 1.0
"""mcprun may take at most as much as another program."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that runs all queries, with the share of its time and memory that mcprun may take."""

    name: str
    run: Callable[[], Cost]
    wall: float = AT_MOST_EQUAL
    processor: float = AT_MOST_EQUAL
    megabytes: float = AT_MOST_EQUAL


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure mcprun and the others in turns, after one warm-up each. Yield wall time, processor time and memory.

    Processor time includes all processes, the server's too. Memory is the peak of the largest process. Raise
    `RuntimeError` if a program has not run all queries.
    """
    with serving(SECONDS) as url:
        own, *others = contenders(folder, url)
        for contender in (own, *others):
            run_verified(contender, url)
        costs_by_round = [[run_verified(contender, url) for contender in (own, *others)] for _ in range(rounds)]
    ours, *theirs = zip(*costs_by_round, strict=True)
    for contender, costs in zip(others, theirs, strict=True):
        pairs = list(zip(ours, costs, strict=True))
        walls = [(one.wall, other.wall) for one, other in pairs]
        processors = [(one.together, other.together) for one, other in pairs]
        megabytes = [(one.megabytes, other.megabytes) for one, other in pairs]
        yield figure(f"beside: {contender.name}", walls, allowed=contender.wall, unit="s of wall")
        yield figure(f"beside: {contender.name}", processors, allowed=contender.processor, unit="s of all processors")
        yield figure(f"beside: {contender.name}", megabytes, allowed=contender.megabytes, unit="MB")


def contenders(folder: Path, url: str) -> list[Contender]:
    """Return mcprun and then the others, installed and configured to use the API at a URL."""
    file = prompts(folder, QUERIES)
    flags = ("--base-url", url, "--model", MODEL, "--concurrency", str(CONCURRENCY))
    others = [make(folder, file, url, CONCURRENCY) for make in (alternatives.promptfoo, alternatives.inspect_ai)]
    return [
        Contender("mcprun", lambda: batch(folder, file, *flags)),
        Contender(
            "the bare loop of both SDKs",
            lambda: floor("talk", url, QUERIES, CONCURRENCY),
            wall=latency.ALLOWED,
            processor=overhead.ALLOWED,
            megabytes=overhead.ALLOWED,
        ),
        *(Contender(other.name, lambda other=other: _run(other, folder)) for other in others),  # type: ignore[misc]
    ]


def run_verified(contender: Contender, url: str, queries: int = QUERIES) -> Cost:
    """Run all queries, and verify with the API's counts that each had two turns and a result without error."""
    before = request_counts(url)
    cost = contender.run()
    if (counted := request_counts(url) - before) != RequestCounts(first=queries, results=queries):
        raise RuntimeError(f"{contender.name} did not run {queries} queries of two turns: {counted}")
    return cost


def table(measured: Sequence[Figure]) -> Iterator[str]:
    """Format the figures, three per other program, as a Markdown table that starts with mcprun."""
    threes = [measured[at : at + 3] for at in range(0, len(measured), 3)]
    what = f"{QUERIES} queries of two turns, {SECONDS * 1000:.0f} ms an answer, concurrency {CONCURRENCY}"
    yield f"| {what} | wall | processor | memory | times mcprun's wall |"
    yield "|---|---|---|---|---|"
    for wall, processor, memory in itertools.islice(threes, 1):
        yield _line(f"mcprun {mcprun.__version__}", wall.values[0], processor.values[0], memory.values[0], 1.0)
    for wall, processor, memory in threes:
        name = wall.name.removeprefix("beside: ")
        yield _line(name, wall.values[1], processor.values[1], memory.values[1], 1 / wall.median)


def _line(name: str, wall: float, processor: float, memory: float, times: float) -> str:
    return f"| {name} | {wall:.1f} s | {processor:.1f} s | {memory:.0f} MB | {times:.2f} |"


def _run(other: Alternative, folder: Path) -> Cost:
    return cost_of(other.command, cwd=folder, env=other.env)
