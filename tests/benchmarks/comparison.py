"""The costs of programs that ran the same queries: as figures, as JSON, and as the tables of docs/benchmarks.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter

from tests.benchmarks.processes import Cost
from tests.benchmarks.query_time import QueryTime
from tests.benchmarks.ratios import Figure, figure
from tests.support.cli import ROOT
from tests.support.documents import replace_block

RECORD = Path(__file__).with_name("comparison.json")
DOCUMENT = ROOT / "docs" / "benchmarks.md"

BEGIN, END = "<!-- beside -->", "<!-- /beside -->"
"""The markers around the tables."""

_WALL, _PROCESSOR, _MEGABYTES = attrgetter("wall"), attrgetter("together"), attrgetter("megabytes")
"""The costs that are compared. Processor time is that of all processes, the server's too."""

_COLUMNS = ("wall", "processor", "memory", "times mcprun's wall")


@dataclass(frozen=True, slots=True)
class Workload:
    """Queries of `turns` turns, `concurrency` at once, with an API that answers after `answer_seconds`."""

    queries: int
    turns: int
    concurrency: int
    answer_seconds: float

    @property
    def waiting(self) -> float:
        """The wall seconds of a program that does nothing but wait for the API."""
        return self.queries / self.concurrency * self.turns * self.answer_seconds

    def __str__(self) -> str:
        """Describe the workload."""
        milliseconds = f"{self.answer_seconds * 1000:.0f} ms"
        return (
            f"{self.queries:,} queries of {self.turns} turns, {milliseconds} an answer, concurrency {self.concurrency}"
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the ratios of mcprun's costs to those of another program; None for a cost without a limit."""

    wall: float | None = None
    processor: float | None = None
    megabytes: float | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Program:
    """A program, its costs in each round, and the limits for mcprun beside it."""

    name: str
    costs: tuple[Cost, ...]
    limits: Limits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Comparison:
    """The programs that ran a workload in turns, and the time of mcprun's queries in each round.

    Args:
        programs: mcprun first.
        allowed: The limit of the ratio of a query's time to its waiting; None if it has none.
    """

    workload: Workload
    programs: tuple[Program, ...]
    query_times: tuple[QueryTime, ...]
    allowed: float | None = None

    def figures(self) -> Iterator[Figure]:
        """Yield the ratios that have a limit."""
        own, *others = self.programs
        prefix = f"beside: {self.workload.queries:,} queries"
        for other in others:
            for unit, allowed, cost in (
                ("s of wall", other.limits.wall, _WALL),
                ("s of all processors", other.limits.processor, _PROCESSOR),
                ("MB", other.limits.megabytes, _MEGABYTES),
            ):
                if allowed is not None:
                    pairs = zip(map(cost, own.costs), map(cost, other.costs), strict=True)
                    yield figure(f"{prefix}, {other.name}", list(pairs), allowed=allowed, unit=unit)
        if self.allowed is not None:
            milliseconds = [(1000 * time.seconds, 1000 * time.waiting) for time in self.query_times]
            yield figure(f"{prefix}, a query and its waiting", milliseconds, allowed=self.allowed, unit="ms")

    @property
    def table(self) -> str:
        """The table as Markdown, with a row for waiting alone."""
        own = [_WALL(cost) for cost in self.programs[0].costs]
        rows = [_row(program, own) for program in self.programs]
        waiting = self.workload.waiting
        alone = ("waiting alone", f"{waiting:.2f} s", "", "", _spread([waiting / wall for wall in own]))
        head = (str(self.workload), *_COLUMNS)
        return "\n".join([_line(head), "|---" * len(head) + "|", *map(_line, [*rows, alone])])

    @property
    def query_ratio(self) -> str:
        """The ratio of the mean time of mcprun's queries to their waiting: its median and range."""
        return _spread([time.seconds / time.waiting for time in self.query_times])


@dataclass(frozen=True, slots=True)
class Record:
    """All comparisons, that with the most queries last, and a description of the machine."""

    machine: str
    comparisons: tuple[Comparison, ...]

    @classmethod
    def read(cls, file: Path = RECORD) -> Self:
        """Read a record that was written as `text`."""
        return TypeAdapter(cls).validate_json(file.read_bytes())

    def __iter__(self) -> Iterator[Figure]:
        """Yield the figures of all comparisons."""
        for comparison in self.comparisons:
            yield from comparison.figures()

    @property
    def text(self) -> str:
        """The record as JSON."""
        return TypeAdapter(Record).dump_json(self, indent=2).decode() + "\n"

    @property
    def markdown(self) -> str:
        """The tables in Markdown with their markers, followed by a paragraph about the figures."""
        tables = [f"{comparison.table}\n" for comparison in self.comparisons]
        longest = self.comparisons[-1]
        about = (
            f"Medians of {len(longest.query_times)} rounds and their range, on {self.machine}. With "
            f"{longest.workload.queries:,} queries and without start-up, a query takes mcprun {longest.query_ratio} times "
            "its waiting."
        )
        return "\n".join([BEGIN, *tables, about, END])

    def write(self) -> None:
        """Replace the record beside this file and the tables in the documentation."""
        RECORD.write_text(self.text, encoding="utf-8")
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(replace_block(document, BEGIN, END, self.markdown), encoding="utf-8")


def _row(program: Program, own: Sequence[float]) -> tuple[str, ...]:
    """Return the cells of a program. `own` are mcprun's wall seconds in each round."""
    walls = [_WALL(cost) for cost in program.costs]
    processor = statistics.median(map(_PROCESSOR, program.costs))
    megabytes = statistics.median(map(_MEGABYTES, program.costs))
    times = _spread([wall / one for wall, one in zip(walls, own, strict=True)])
    return (program.name, _spread(walls, " s"), f"{processor:.1f} s", f"{megabytes:.0f} MB", times)


def _spread(values: Sequence[float], unit: str = "") -> str:
    """Format the median and the range of values. A range that shows only one value is left out."""
    middle, least, most = (f"{value:.2f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle}{unit}" if least == most else f"{middle}{unit} ({least} to {most})"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
