"""Compare the coverage of two runs: what fell, and which tools are new and not called. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mcprun._util.json_value import key_of
from mcprun.analysis.coverage.coverage import Coverage, Share, ToolCoverage
from mcprun.analysis.coverage.measure import measure_coverage
from mcprun.errors import UsageError
from mcprun.runs.run import Run


@dataclass(frozen=True, slots=True)
class LostArgument:
    """An argument of a `tool` that BASE exercised and HEAD does not, or with `values`, only these values of it."""

    tool: str
    path: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class CoverageDiff:
    """How the coverage of HEAD differs from that of BASE. It is false if nothing fell and no tool is new and uncalled.

    Attributes:
        before: The share of its tools that BASE covers.
        after: The share of its tools that HEAD covers.
        lost: The tools that BASE covers, and that HEAD lists and does not cover.
        arguments: Of tools that both cover, the arguments and values that HEAD lists and no longer exercises.
        new: The tools that only HEAD lists, and that no call of it reached.
    """

    before: Share
    after: Share
    lost: tuple[str, ...] = ()
    arguments: tuple[LostArgument, ...] = ()
    new: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lost or self.arguments or self.new)


def diff_coverage(base: Run | None, head: Run | None) -> CoverageDiff | None:
    """Return how the coverage of two runs differs; None if nothing fell, or if one of them has no server.

    None too if the trace of one is damaged, which is no reason not to compare their transcripts.
    """
    if base is None or head is None or base.record.server is None or head.record.server is None:
        return None
    with suppress(UsageError):
        return compare_coverage(measure_coverage([base]), measure_coverage([head])) or None
    return None


def compare_coverage(base: Coverage, head: Coverage) -> CoverageDiff:
    """Return how the coverage of HEAD differs from that of BASE."""
    before = {tool.name: tool for tool in base.tools}
    after = {tool.name: tool for tool in head.tools}
    covered = [tool for tool in base.tools if tool.is_covered and tool.name in after]
    return CoverageDiff(
        base.covered,
        head.covered,
        lost=tuple(tool.name for tool in covered if not after[tool.name].is_covered),
        arguments=tuple(
            lost for tool in covered if after[tool.name].is_covered for lost in _lost_arguments(tool, after[tool.name])
        ),
        new=tuple(tool.name for tool in head.tools if tool.name not in before and not tool.calls),
    )


def _lost_arguments(base: ToolCoverage, head: ToolCoverage) -> Iterator[LostArgument]:
    after = {argument.path: argument for argument in head.arguments}
    for argument in base.arguments:
        other = after.get(argument.path)
        if other is None or not argument.exercised:
            continue
        if not other.exercised:
            yield LostArgument(base.name, argument.path)
            continue
        seen = {key_of(value) for value in argument.seen}
        if values := tuple(value for value in other.unseen if key_of(value) in seen):
            yield LostArgument(base.name, argument.path, values)
