"""The repeats of queries, one mark for each run: `flaky-half  ✗✓✗✓✗✗  2/6  33 %  10 % ├──▪────┤ 70 %`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcprun.report.text import one_line, plural
from mcprun.runs.run_record import Counts, RepeatsRecord, RunRecord
from mcprun.runs.transcript import Verdict

MARKS: Mapping[Verdict, str] = {
    Verdict.PASSED: "✓",
    Verdict.FAILED: "✗",
    Verdict.ERROR: "▲",
    Verdict.SKIPPED: "○",
}
"""The mark of a run by its verdict."""

_DOTS = 100
"""Maximum number of runs of a query whose marks are shown."""

_TRACK = 20
"""Width of the track of an interval in characters, which stands for 0 % to 100 %."""

_NAME, _LEAST_NAME = 24, 16
"""Maximum width of a query's name in a line, and in a line that is too narrow for it."""

_LEAST = 6
"""Minimum number of marks in a line, however narrow it is."""


class Ran(Protocol):
    """One run of a query: a transcript, or its summary."""

    @property
    def id(self) -> str:
        """The query's id."""

    @property
    def repeat(self) -> int:
        """The number of the run, from 1."""

    @property
    def verdict(self) -> Verdict:
        """Its verdict."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """The runs of a repeated query. `dots` are its first runs by number: the number, and the verdict."""

    record: RepeatsRecord
    dots: tuple[tuple[int, Verdict], ...] = ()

    @property
    def marks(self) -> str:
        """A mark for each run of `dots`."""
        return "".join(MARKS[verdict] for _, verdict in self.dots)

    @property
    def more(self) -> int:
        """The number of runs that `dots` leaves out."""
        return max(0, self.record.runs - len(self.dots))

    @property
    def required(self) -> str:
        """The rate that the query requires: `needs 80 %`, or empty if it requires none."""
        return "" if self.record.required is None else f"needs {percent(self.record.required)}"

    @property
    def interval(self) -> str:
        """The 95 % confidence interval of the true rate as text: `10 % to 70 %`."""
        return f"{percent(self.record.low)} to {percent(self.record.high)}"


def repeated(record: RunRecord, runs: Iterable[Ran]) -> list[Repeats]:
    """Return the repeated queries of a run: those below their rate first, then flaky ones, then in the file's order.

    `runs` are all transcripts of the run, or their summaries. They are read only if a query was repeated.
    """
    if not record.repeats:
        return []
    found: dict[str, list[tuple[int, Verdict]]] = {one.id: [] for one in record.repeats}
    for one in runs:
        if (dots := found.get(one.id)) is not None and len(dots) < _DOTS:
            dots.append((one.repeat, one.verdict))
    ordered = sorted(record.repeats, key=lambda one: (not one.is_below, not one.flaky))
    return [Repeats(one, tuple(sorted(found[one.id]))) for one in ordered]


def percent(rate: float) -> str:
    """Return a rate without decimals: `33 %`. Less than all is never 100 %, and more than none never 0 %."""
    whole = round(100 * rate)
    if whole == 100 and rate < 1:
        return "99 %"
    return "1 %" if whole == 0 and rate > 0 else f"{whole} %"


def interval_bar(record: RepeatsRecord, width: int = _TRACK) -> str:
    """Draw the confidence interval on a scale from 0 % to 100 % of `width` characters, with a mark at the rate."""
    low, at, high = (min(width - 1, int(value * width)) for value in (record.low, record.pass_rate, record.high))
    cells = [" "] * low + ["─"] * (high - low + 1) + [" "] * (width - 1 - high)
    cells[low], cells[high] = "├", "┤"
    cells[at] = "▪"
    return "".join(cells)


def repeat_lines(all_repeats: Sequence[Repeats], width: int) -> Iterator[tuple[str, Repeats]]:
    """Yield a line of at most `width` columns for each query, and the query; columns are aligned."""
    counts = [f"{one.record.passed:,}/{one.record.runs:,}" for one in all_repeats]
    ends = [_end(one) for one in all_repeats]
    count_width, end_width = (max(map(len, texts), default=0) for texts in (counts, ends))
    free = width - (count_width + len("  " * 4) + len("100 %") + end_width)
    names = [one_line(one.record.id, min(_NAME, max(_LEAST_NAME, free - _LEAST))) for one in all_repeats]
    name_width = max(map(len, names), default=0)
    room = max(_LEAST, free - name_width)
    dots_width = min(room, max((len(_dots(one, room)) for one in all_repeats), default=0))
    for name, count, end, one in zip(names, counts, ends, all_repeats, strict=True):
        rate = percent(one.record.pass_rate)
        line = f"{name:<{name_width}}  {_dots(one, room):<{dots_width}}  {count:>{count_width}}  {rate:>5}  {end}"
        yield line.rstrip(), one


def _dots(one: Repeats, room: int) -> str:
    """Return the marks of a query that fit in `room` characters, and how many runs are left out."""
    if not one.more and len(one.marks) <= room:
        return one.marks
    note = f"…+{one.record.runs:,}"  # at least as wide as the note that is shown
    shown = one.marks[: max(1, room - len(note))]
    return f"{shown}…+{one.record.runs - len(shown):,}"


def _end(one: Repeats) -> str:
    record = one.record
    notes = [one.required, plural(record.error, "error") if record.error else ""]
    return "  ".join(
        [f"{percent(record.low):>4} {interval_bar(record)} {percent(record.high):<5}", *filter(None, notes)]
    )


def below_rate(record: RunRecord) -> str:
    """Return how many repeated queries are below their pass rate, as a clause; empty if none was repeated."""
    if not record.repeats:
        return ""
    below = sum(one.is_below for one in record.repeats)
    rate = "its rate" if below == 1 else "their rate"
    return f"{below:,} of {plural(len(record.repeats), 'repeated query')} below {rate}"


@dataclass(frozen=True, slots=True)
class QueryCounts:
    """The queries of a run by outcome. All repeats of a query are one query.

    Attributes:
        done: Queries that ended, at least one run of each.
        passed: Queries that passed: all runs, or enough of them for the rate that the query requires.
        failed: Queries that were run once, and failed.
        below: Repeated queries below their rate.
        repeated: Repeated queries.
    """

    done: int
    passed: int
    failed: int
    below: int
    repeated: int


def query_counts(record: RunRecord, counts: Counts) -> QueryCounts:
    """Count the queries of a run, whose `counts` are of runs."""
    repeats = record.repeats
    ended = [one for one in repeats if one.runs > one.skipped]
    met = sum(one.is_met if one.required is not None else one.passed == one.runs for one in ended)
    return QueryCounts(
        done=counts.done - sum(one.runs - one.skipped for one in repeats) + len(ended),
        passed=counts.passed - sum(one.passed for one in repeats) + met,
        failed=counts.failed - sum(one.failed for one in repeats),
        below=sum(one.is_below for one in repeats),
        repeated=len(repeats),
    )


def runs_of(record: RunRecord, counts: Counts) -> str:
    """Return what counts of verdicts count if queries were repeated: `30 runs of 5 queries`; empty if none was."""
    if not record.repeats:
        return ""
    queries = counts.queries - sum(one.runs for one in record.repeats) + len(record.repeats)
    return f"{plural(counts.queries, 'run')} of {plural(queries, 'query')}"


def passed_of(record: RunRecord, counts: Counts) -> str:
    """Return how many queries passed, and of which: `20 of 30 queries`, `20 of the 30 queries that ended`.

    With repeats, the runs are added: `3 of 5 queries; 19 of 30 runs`.
    """
    found = query_counts(record, counts)
    queries = max(record.prompts.queries, found.done)
    of = plural(queries, "query") if found.done == queries else f"the {plural(found.done, 'query')} that ended"
    parts = [f"{found.passed:,} of {of}"]
    parts += [f"{counts.passed:,} of {plural(counts.done, 'run')}"] if found.repeated else []
    return "; ".join(parts)
