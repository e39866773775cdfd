"""The comparison of a run with its baseline, as reports show it. `engine/comparison.py` records it in the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Literal

from mcprun.analysis.coverage.changes import CoverageDiff
from mcprun.analysis.diff.groups import Group, Groups, Value
from mcprun.analysis.diff.json_lines import read_coverage, read_differences, read_routing
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import QueryDiff
from mcprun.analysis.routing.changes import RoutingDiff
from mcprun.report.aspect import Aspect, Part, aspect_of, comparison_parts
from mcprun.report.change_groups import group_pairs, inline
from mcprun.report.change_lines import title
from mcprun.report.coverage_diff import coverage_lines
from mcprun.report.diff import BASELINE, Line, blocks, diff_line, lines, tool_lines
from mcprun.report.fault_isolation import render_diff
from mcprun.report.routing_diff import routing_block
from mcprun.report.text import one_line, plural
from mcprun.runs.directory import DIFFERENCES
from mcprun.runs.run import Run
from mcprun.runs.run_record import ComparedCounts
from mcprun.runs.transcript import Key
from mcprun.tools.changes import ToolChange

AGAINST_LINES = 50
"""Maximum number of lines of a comparison that reports keep."""

_DETAILED = 500
"""Maximum number of regressed queries whose differences are kept."""

_LINES = 40
"""Maximum number of lines kept of one query's differences."""

_CAUSE = 500
"""Maximum number of characters of a cause."""

_CHANGES = 3
"""Maximum number of changes, and of lines of each, in a cause."""

Status = Literal["regressed", "changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class QueryChange:
    """How a query differs from the baseline.

    `repeat` is the repeat of this run that shows the difference best, or that of the baseline if the query was
    `removed`. `cause` is one line. `lines` are the differences as `mcprun diff` prints them, shortened. `aspect` is
    what matters most of them.
    """

    id: str
    repeat: int
    status: Status
    cause: str
    lines: tuple[str, ...] = ()
    aspect: Aspect = "other"

    @property
    def is_regression(self) -> bool:
        """Whether the difference fails the run."""
        return self.status in ("regressed", "removed")


@dataclass(frozen=True, slots=True)
class BaselineData:
    """The comparison of a run with the baseline `name`.

    `changes` holds the queries that differ and are in the run, `removed` those that only the baseline has. `tools` are
    all changes of tools, and `breaking` describes each that is breaking. `lines` is the start of the diff. `coverage`
    is what fell, or None, and `routing` how the grades of two routed runs differ.
    """

    name: str
    counts: ComparedCounts
    changes: Mapping[Key, QueryChange] = field(default_factory=dict)
    removed: tuple[QueryChange, ...] = ()
    breaking: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    tools: tuple[ToolChange, ...] = ()
    volatile: VolatileSummary = field(default_factory=VolatileSummary)
    coverage: CoverageDiff | None = None
    routing: RoutingDiff | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """How the run differs, in parts: `3 now fail`, `11 results changed`, `1 tool renamed (a → b)`."""
        aspects = (change.aspect for change in (*self.changes.values(), *self.removed))
        return tuple(comparison_parts(aspects, self.tools))


def read_baseline(run: Run) -> BaselineData | None:
    """Read how a run differs from its baseline. Return None if it has none, or was not compared with it.

    Raises `UsageError` if `differences.jsonl` is damaged.
    """
    record = run.record.baseline
    if record is None or record.compared is None:
        return None
    changes: dict[Key, QueryChange] = {}
    removed: list[QueryChange] = []
    tools: list[ToolChange] = []
    groups = Groups()
    volatile = VolatileSummary()
    for difference in read_differences(run.path / DIFFERENCES):
        if isinstance(difference, VolatileSummary):
            volatile = difference
            continue
        if isinstance(difference, tuple):
            continue
        if not isinstance(difference, QueryDiff):
            tools = difference
            continue
        is_detailed = difference.is_regression and len(changes) + len(removed) < _DETAILED
        change = render_diff(difference, query_change if is_detailed else _short_change)
        render_diff(difference, groups.add)
        if change.status == "removed":
            removed.append(change)
        else:
            changes[change.id, change.repeat] = change
    coverage, routing = read_coverage(run.path / DIFFERENCES), read_routing(run.path / DIFFERENCES)
    return BaselineData(
        name=record.path,
        counts=record.compared,
        changes=changes,
        removed=tuple(removed),
        breaking=tuple(one_line(f"{one.tool}: {one.message}", _CAUSE) for one in tools if one.breaking),
        lines=tuple(_first_lines(groups, [*routing_block(routing), *tool_lines(tools), *coverage_lines(coverage)])),
        tools=tuple(tools),
        volatile=volatile,
        coverage=coverage,
        routing=routing,
    )


def _first_lines(groups: Groups, first: Sequence[Line]) -> Iterator[str]:
    """Yield the start of a diff: some lines, then groups of changes, with signs in the first column."""
    shown = [*first, *(line for block in blocks(groups, BASELINE, is_inline=False) for line in block)]
    count = len(shown) if len(shown) <= AGAINST_LINES else AGAINST_LINES - 1
    yield from map(diff_line, shown[:count])
    if left := len(shown) - count:
        yield f"… and {plural(left, 'more line')}; mcprun diff lists all"


def query_change(diff: QueryDiff) -> QueryChange:
    """Return how a query differs, with the start of its diff."""
    status: Status = "regressed" if diff.is_regression and diff.how == "changed" else diff.how
    base, head = diff.examples
    shown = tuple(_plain(diff)[:_LINES])
    return QueryChange(diff.id, head or base or 1, status, _cause(diff, status), shown, aspect_of(diff))


def _short_change(diff: QueryDiff) -> QueryChange:
    return replace(query_change(diff), lines=())


def _cause(diff: QueryDiff, status: Status) -> str:
    """Return in one line how a query differs: its outcome if that changed, and the values before and after."""
    if status == "removed":
        return "removed: the baseline has this query, and the run has not"
    before, after = diff.verdicts
    parts = [f"{before} → {after}"] if before and after and before != after else []
    if diff.rates[0] and diff.rates[1] and diff.rates[0] != diff.rates[1]:
        parts.append(" → ".join(f"{rate.passed:,}/{rate.runs:,}" for rate in diff.rates if rate) + " passed")
    groups = Groups()
    groups.add(diff)
    parts += map(_short, groups.groups()[:_CHANGES])
    return one_line(f"{status}: {'; '.join(parts)}", _CAUSE)


def _short(group: Group) -> str:
    """Return a change of one query on one line: its first call, the values, and the number of calls if it has more."""
    values = ", ".join(islice(chain.from_iterable(map(_values, group.values)), _CHANGES))
    calls = group.occurrences.calls
    text = f"{title(group.example)}: {values}" if values else title(group.example)
    return f"{text} ({plural(calls, 'call')})" if calls > 1 else text


def _values(value: Value) -> Iterator[str]:
    """Yield a value before and after on one line, or as lines with their signs if it is long."""
    if shown := inline(value):
        yield shown
    else:
        yield from (f"{sign} {text}" for (sign, text), _ in group_pairs([value]) if sign != " ")


def _plain(diff: QueryDiff) -> list[str]:
    return [_text(line) for line in lines(diff, BASELINE)]


def _text(line: Iterable[tuple[str, str]]) -> str:
    return "".join(text for text, _ in line)
