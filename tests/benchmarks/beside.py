"""The same queries run by mcprun, by other programs and by a bare loop over the SDKs.

All use one stub API that answers after 50 ms, and one server program over stdio. The API counts requests, to verify that
each ran two turns per query and returned each result. mcprun, the bare loop and MCPJam's SDK for Node run 200 and then 2,000
queries. promptfoo and inspect-ai run 200 only, because they are slow: 2,000 would take inspect-ai over two minutes.

The time of mcprun's queries is compared with their waiting, both from its trace (`query_time.py`).

The first run installs the other programs, which takes minutes and 2.5 GB of `.cache`, so the suite runs only when it is
named. Measure on an otherwise idle machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mcprun
from tests.benchmarks import alternatives, latency, overhead
from tests.benchmarks.alternatives import MODEL, Alternative, SetUp
from tests.benchmarks.api import RequestCounts, request_counts, serving
from tests.benchmarks.batches import batch, floor, prompts
from tests.benchmarks.comparison import NO_LIMITS, Comparison, Limits, Program, Record, Workload
from tests.benchmarks.processes import Cost, cost_of
from tests.benchmarks.query_time import query_time
from tests.support.cli import read_jsonl
from tests.support.machine import describe_machine

TURNS, CONCURRENCY, SECONDS = 2, 16, 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """A number of queries, the programs that run them beside mcprun and the bare loop, and the limits for mcprun.

    Args:
        bare_loop: The limits beside the bare loop.
        programs: The limits beside each other program.
        query_time: The limit of the ratio of a query's time to its waiting, if it has one.
    """

    queries: int
    bare_loop: Limits
    programs: Mapping[SetUp, Limits]
    query_time: float | None = None


AT_MOST_EQUAL = Limits(wall=1.0, processor=1.0, megabytes=1.0)
FEW = Size(
    200,
    bare_loop=Limits(latency.ALLOWED, overhead.ALLOWED, overhead.ALLOWED),
    programs={
        alternatives.mcpjam: Limits(wall=1.0, megabytes=1.0),
        alternatives.promptfoo: AT_MOST_EQUAL,
        alternatives.inspect_ai: AT_MOST_EQUAL,
    },
)
MANY = Size(
    2_000,
    bare_loop=Limits(latency.ALLOWED, 0.75, overhead.ALLOWED),
    programs={alternatives.mcpjam: Limits(wall=0.95, megabytes=1.0)},
    query_time=1.06,
)


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that runs all queries, and the limits for mcprun beside it."""

    name: str
    run: Callable[[], Cost]
    limits: Limits = NO_LIMITS


def measure(folder: Path, rounds: int) -> Record:
    """Measure mcprun and the others in turns, after one warm-up each. Return their costs and the limits.

    Raise `RuntimeError` if a program has not run all queries.
    """
    with serving(SECONDS) as url:
        for contender in contenders(folder, url, FEW):
            run_verified(contender, url, FEW.queries)
        comparisons = [compare(folder, url, size, rounds) for size in (FEW, MANY)]
    return Record(describe_machine(), tuple(comparisons))


def compare(folder: Path, url: str, size: Size, rounds: int) -> Comparison:
    """Run all contenders of a size in turns, `rounds` times, and read the times of mcprun's queries after each."""
    everyone = contenders(folder, url, size)
    costs_by_round, query_times = [], []
    for _ in range(rounds):
        costs_by_round.append([run_verified(contender, url, size.queries) for contender in everyone])
        query_times.append(query_time(read_jsonl(_run_directory(folder) / "trace.jsonl"), SECONDS))
    programs = [
        Program(contender.name, costs, contender.limits)
        for contender, costs in zip(everyone, zip(*costs_by_round, strict=True), strict=True)
    ]
    workload = Workload(size.queries, TURNS, CONCURRENCY, SECONDS)
    return Comparison(workload, tuple(programs), tuple(query_times), size.query_time)


def contenders(folder: Path, url: str, size: Size) -> list[Contender]:
    """Return mcprun and then the others, installed and configured to use the API at a URL."""
    file = prompts(folder, size.queries)
    bare_loop = ("talk", url, size.queries, CONCURRENCY)
    others = [(set_up(folder, file, url, CONCURRENCY), limits) for set_up, limits in size.programs.items()]
    return [
        Contender(f"mcprun {mcprun.__version__}", lambda: _run_mcprun(folder, file, url)),
        Contender("the bare loop of both Python SDKs", lambda: floor(*bare_loop), size.bare_loop),
        *(Contender(other.name, partial(_run_other, other, folder), limits) for other, limits in others),
    ]


def run_verified(contender: Contender, url: str, queries: int) -> Cost:
    """Run all queries, and verify with the API's counts that each had two turns and a result without error."""
    before = request_counts(url)
    cost = contender.run()
    if (counted := request_counts(url) - before) != RequestCounts(first=queries, results=queries):
        raise RuntimeError(f"{contender.name} did not run {queries} queries of two turns: {counted}")
    return cost


def _run_mcprun(folder: Path, file: Path, url: str) -> Cost:
    out = _run_directory(folder)
    shutil.rmtree(out, ignore_errors=True)
    return batch(folder, file, "--base-url", url, "--model", MODEL, "--concurrency", str(CONCURRENCY), out=out)


def _run_directory(folder: Path) -> Path:
    """Return the directory of mcprun's latest run."""
    return folder / "mcprun"


def _run_other(other: Alternative, folder: Path) -> Cost:
    return cost_of(other.command, cwd=folder, env=other.env)
