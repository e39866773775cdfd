"""The same queries by mcprun, by other programs and by the bare loop of the SDKs, side by side.

All ask one API, whose answers take 50 ms, and call one server over stdio. That each has asked for two turns a query and
told the result of each call is counted at the API. The other programs are installed when this is first run, which takes
minutes and 2 GB of `.cache`, so it is only run when it is named. To be measured on a machine that does nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mcprun
from tests.benchmarks import alternatives, latency, overhead
from tests.benchmarks.alternatives import MODEL, Alternative
from tests.benchmarks.api import Asked, asked, serving
from tests.benchmarks.batches import batch, floor, prompts
from tests.benchmarks.processes import Cost, cost_of
from tests.benchmarks.ratios import Figure, figure

QUERIES, CONCURRENCY, SECONDS = 200, 16, 0.05
NO_MORE = 1.0
"""Another program does what mcprun does."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to run all queries: its name, what runs them once, and how much of its time and memory mcprun may take."""

    name: str
    run: Callable[[], Cost]
    wall: float = NO_MORE
    processor: float = NO_MORE
    megabytes: float = NO_MORE


def figures(folder: Path, rounds: int) -> Iterator[Figure]:
    """Measure mcprun and the others in turns, each once unmeasured before: wall, processor time, memory of each other.

    Processor time is that of all processes, the server's too. Memory is the peak of the biggest process. Raises
    `RuntimeError` when one has not run all queries.
    """
    with serving(SECONDS) as url:
        own, *others = ways(folder, url)
        for way in (own, *others):
            checked(way, url)
        taken = [[checked(way, url) for way in (own, *others)] for _ in range(rounds)]
    ours, *theirs = zip(*taken, strict=True)
    for way, costs in zip(others, theirs, strict=True):
        pairs = list(zip(ours, costs, strict=True))
        walls = [(one.wall, other.wall) for one, other in pairs]
        processors = [(one.together, other.together) for one, other in pairs]
        megabytes = [(one.megabytes, other.megabytes) for one, other in pairs]
        yield figure(f"beside: {way.name}", walls, allowed=way.wall, unit="s of wall")
        yield figure(f"beside: {way.name}", processors, allowed=way.processor, unit="s of all processors")
        yield figure(f"beside: {way.name}", megabytes, allowed=way.megabytes, unit="MB")


def ways(folder: Path, url: str) -> list[Way]:
    """Return mcprun and then the others, installed and configured to use the API at a URL."""
    file = prompts(folder, QUERIES)
    flags = ("--base-url", url, "--model", MODEL, "--concurrency", str(CONCURRENCY))
    others = [make(folder, file, url, CONCURRENCY) for make in (alternatives.promptfoo, alternatives.inspect_ai)]
    return [
        Way("mcprun", lambda: batch(folder, file, *flags)),
        Way(
            "the bare loop of both SDKs",
            lambda: floor("talk", url, QUERIES, CONCURRENCY),
            wall=latency.ALLOWED,
            processor=overhead.ALLOWED,
            megabytes=overhead.ALLOWED,
        ),
        *(Way(other.name, lambda other=other: _run(other, folder)) for other in others),  # type: ignore[misc]
    ]


def checked(way: Way, url: str, queries: int = QUERIES) -> Cost:
    """Run all queries, and see at the API that they were: two turns each, and a result that is no error."""
    before = asked(url)
    cost = way.run()
    if (seen := asked(url) - before) != Asked(first=queries, results=queries):
        raise RuntimeError(f"{way.name} did not run {queries} queries of two turns: {seen}")
    return cost


def table(measured: Sequence[Figure]) -> Iterator[str]:
    """Lay out the figures, three for each other way, as a table in Markdown: mcprun, then the others."""
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
