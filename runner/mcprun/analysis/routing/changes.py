"""Compare the grades of two routed runs: how many queries became right or wrong, and whether that is chance. Pure.

Queries are paired by id and repeat, and the difference is tested with McNemar's test.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcprun._util.json_io import parse_line
from mcprun._util.statistics import ALPHA, mcnemar_exact
from mcprun.analysis.routing.matrix import Rate, RoutedTurn, ToolRouting, matrix_of, mcnemar_table
from mcprun.analysis.routing.measure import routed_turn
from mcprun.errors import UsageError
from mcprun.runs.run import parse_transcript
from mcprun.runs.transcript import UNGRADED, Key, Transcript
from mcprun.runs.transcript_files import TranscriptLines

MAX_CHANGED = 1_000
"""Maximum number of queries that are listed because their grade changed."""

_MARKS = b'"routed"', f'"{UNGRADED}"'.encode()


@dataclass(frozen=True, slots=True)
class ChangedRoute:
    """A query whose grade changed: whether it is `right` in HEAD, and the tools that the first turns call, in order."""

    id: str
    repeat: int
    right: bool
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecallChange:
    """The recall of a tool in the paired queries of BASE and HEAD."""

    tool: str
    before: Rate
    after: Rate

    @property
    def has_changed(self) -> bool:
        """Whether the tool is called more or less often where it is expected."""
        return self.before.share != self.after.share


@dataclass(frozen=True, slots=True)
class RoutingDiff:
    """How the grades of two routed runs differ. All but `unpaired` are of the queries that both graded.

    Attributes:
        before: The share that is right in BASE.
        after: The share that is right in HEAD.
        gained: The number that became right.
        lost: The number that became wrong.
        p: The p-value of the difference (McNemar's exact test, two-sided).
        alpha: The significance level.
        significant: Whether `p` is below it.
        unpaired: The number of queries that only one of the runs graded.
        tools: The recall of each tool, by name.
        changed: The queries whose grade changed, at most `MAX_CHANGED`, those that became wrong first.
    """

    before: Rate
    after: Rate
    gained: int
    lost: int
    p: float
    alpha: float
    significant: bool
    unpaired: int = 0
    tools: tuple[RecallChange, ...] = ()
    changed: tuple[ChangedRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class Graded:
    """A graded first turn, and the tools that it calls, in order."""

    turn: RoutedTurn
    tools: tuple[str, ...]


def is_routed(lines: TranscriptLines) -> bool:
    """Return whether transcripts are of a routed run. Without `run.json`, they are searched for a routed query."""
    if lines.run:
        return lines.run.record.route is not None
    marked = (line for line in lines if any(mark in line for mark in _MARKS))
    return any("routed" in one or one.get("stop") == UNGRADED for one in map(parse_line, marked))


def check_kinds(base: TranscriptLines, head: TranscriptLines, names: tuple[str, str]) -> bool:
    """Return whether both sides are of routed runs. Raises `UsageError` if only one of them is."""
    are_routed = is_routed(base), is_routed(head)
    if are_routed[0] != are_routed[1]:
        routed, other = (f"{side} ({name})" for side, name in _routed_first(are_routed, names))
        raise UsageError(
            f"{routed} is a routed run, which makes no calls, and {other} is not: compare two runs with --route, or two"
            " without"
        )
    return all(are_routed)


def _routed_first(are_routed: tuple[bool, bool], names: tuple[str, str]) -> list[tuple[str, str]]:
    sides = [("BASE", names[0]), ("HEAD", names[1])]
    return sides if are_routed[0] else sides[::-1]


def diff_routing(
    base: TranscriptLines, head: TranscriptLines, alpha: float = ALPHA, among: Container[str] | None = None
) -> RoutingDiff | None:
    """Return how the grades of two routed runs differ; None if no query was graded in both.

    `among` are the ids of the queries that HEAD was asked to run; other queries of BASE are left out. Raises
    `UsageError` for a line that is not a transcript.
    """
    before = {key: one for key, one in _graded(base) if among is None or key[0] in among}
    return compare_routing(before, _graded(head), alpha)


def compare_routing(
    before: dict[Key, Graded], after: Iterable[tuple[Key, Graded]], alpha: float = ALPHA
) -> RoutingDiff | None:
    """Return how graded first turns differ; None if no key is in both."""
    heads = dict(after)
    shared = [key for key in heads if key in before]
    if not shared:
        return None
    gained, lost = mcnemar_table(
        {key: before[key].turn.passed for key in shared}, {key: heads[key].turn.passed for key in shared}
    )
    changed = [
        ChangedRoute(*key, heads[key].turn.passed, before[key].tools, heads[key].tools)
        for key in shared
        if before[key].turn.passed != heads[key].turn.passed
    ]
    matrices = [matrix_of(side[key].turn for key in shared) for side in (before, heads)]
    recalls = tuple(_recalls(*(matrix.tools for matrix in matrices)))
    p = round(mcnemar_exact(gained, lost), 6)
    return RoutingDiff(
        before=matrices[0].accuracy,
        after=matrices[1].accuracy,
        gained=gained,
        lost=lost,
        p=p,
        alpha=alpha,
        significant=p < alpha,
        unpaired=len(before) + len(heads) - 2 * len(shared),
        tools=recalls,
        changed=_worst_first(changed),
    )


def merged_routing(diffs: Sequence[RoutingDiff]) -> RoutingDiff | None:
    """Return the differences of all shards of a run as those of one run; None of none."""
    if not diffs:
        return None
    gained, lost = sum(one.gained for one in diffs), sum(one.lost for one in diffs)
    p = round(mcnemar_exact(gained, lost), 6)
    recalls: dict[str, RecallChange] = {}
    for one in (recall for diff in diffs for recall in diff.tools):
        known = recalls.get(one.tool)
        recalls[one.tool] = (
            replace(known, before=_sum(known.before, one.before), after=_sum(known.after, one.after)) if known else one
        )
    return replace(
        diffs[0],
        before=_sum(*(one.before for one in diffs)),
        after=_sum(*(one.after for one in diffs)),
        gained=gained,
        lost=lost,
        p=p,
        significant=p < diffs[0].alpha,
        unpaired=sum(one.unpaired for one in diffs),
        tools=tuple(recalls[name] for name in sorted(recalls)),
        changed=_worst_first([change for one in diffs for change in one.changed]),
    )


def graded(transcripts: Iterable[Transcript]) -> Iterator[tuple[Key, Graded]]:
    """Yield the graded first turns of transcripts by id and repeat."""
    for one in transcripts:
        if one.is_ungraded or one.error or one.routed is None:
            continue
        if turn := routed_turn(one):
            yield (one.id, one.repeat), Graded(turn, tuple(call.tool for call in one.routed))


def _graded(lines: TranscriptLines) -> Iterator[tuple[Key, Graded]]:
    folder = Path(lines.stream.name).parent
    return graded(parse_transcript(line, folder) for line in lines)


def _recalls(before: Sequence[ToolRouting], after: Sequence[ToolRouting]) -> Iterator[RecallChange]:
    """Yield the recall of each tool that a query expects."""
    sides = [{tool.tool: tool.recall for tool in side} for side in (before, after)]
    for name in sorted({*sides[0], *sides[1]}):
        change = RecallChange(name, *(side.get(name, Rate(0, 0)) for side in sides))
        if change.before.total or change.after.total:
            yield change


def _sum(*rates: Rate) -> Rate:
    return Rate(sum(rate.done for rate in rates), sum(rate.total for rate in rates))


def _worst_first(changed: Sequence[ChangedRoute]) -> tuple[ChangedRoute, ...]:
    return tuple(sorted(changed, key=lambda one: one.right)[:MAX_CHANGED])
