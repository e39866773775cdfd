"""Print the differences between two runs, and what is volatile in their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from mcprun.analysis.coverage.changes import CoverageDiff
from mcprun.analysis.diff.groups import Groups
from mcprun.analysis.diff.json_lines import as_json, read_coverage, read_differences, read_routing
from mcprun.analysis.diff.rule import VolatileSummary
from mcprun.analysis.diff.runs import DiffSummary, MovedRate, QueryDiff
from mcprun.analysis.routing.changes import RoutingDiff
from mcprun.report.console import Console
from mcprun.report.coverage_diff import coverage_lines
from mcprun.report.diff import BASELINE, blocks, lines, moved_lines, summary, tool_lines
from mcprun.report.diff_markdown import Notes, markdown
from mcprun.report.fault_isolation import render_diff
from mcprun.report.routing_diff import routing_block, routing_lines
from mcprun.report.text import visible, visible_json
from mcprun.report.volatile import empty_warning, masked_lines, suggestion_lines
from mcprun.runs.directory import DIFFERENCES
from mcprun.runs.run import Run
from mcprun.tools.changes import ToolChange

if TYPE_CHECKING:
    from mcprun.analysis.volatile.passes import VolatileSuite


class DifferencePrinter:
    """Prints differences to the streams of a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._out, self._err = console.out, console.err

    def differences(
        self,
        diffs: Iterator[QueryDiff],
        tools: Sequence[ToolChange],
        diff_summary: DiffSummary,
        form: str,
        volatile: Callable[[], VolatileSummary] = VolatileSummary,
        *,
        base: str = "BASE",
        moved: Sequence[MovedRate] = (),
        coverage: CoverageDiff | None = None,
        routing: RoutingDiff | None = None,
    ) -> None:
        """Print the differences between two runs as `text`, `json` or `markdown`. `base` names the first in text.

        `diff_summary` and `moved` are complete once `diffs` is exhausted, and `volatile` is called then. What looks
        volatile, and warnings about what is masked, go to stderr, unless they are part of the Markdown or JSON.
        """
        if form == "json":
            for diff in diffs:
                self._out.put((visible_json(render_diff(diff, as_json)), ""))
            if tools:
                self._out.put((visible_json(as_json({"tools": tools})), ""))
            if moved:
                self._out.put((visible_json(as_json({"moved": list(moved)})), ""))
            for name, one in (("coverage", coverage), ("routing", routing)):
                if one:
                    self._out.put((visible_json(as_json({name: one})), ""))
            if found := volatile():
                self._out.put((visible_json(as_json({"volatile": found})), ""))
            self._out.put((as_json({"totals": diff_summary}), ""))
            return
        groups = Groups()
        for diff in diffs:
            render_diff(diff, groups.add)
        if form == "markdown":
            more = Notes(moved, volatile(), list(coverage_lines(coverage)), routing_block(routing))
            for piece in markdown(groups, tools, diff_summary, notes=more):
                self._out.put((piece, ""))
            return
        for block in blocks(groups, base):
            for line in block:
                self._out.put(*line)
        fallen, moves = coverage_lines(coverage), moved_lines(moved, diff_summary.chance)
        for line in (*tool_lines(tools), *fallen, *moves, *routing_lines(routing)):
            self._out.put(*line)
        self._totals(volatile(), diff_summary)

    def _totals(self, found: VolatileSummary, diff_summary: DiffSummary) -> None:
        """Print what a comparison masked, its totals, and on stderr, how to leave out what looks volatile."""
        for line in [] if self._console.is_quiet else masked_lines(found):
            self._out.put((line, "dim"))
        self._out.print(Text(summary(diff_summary), "bold" if diff_summary.differ else "green"), soft_wrap=True)
        if warning := empty_warning(found.shares):
            self._console.warning(warning)
        self.suggestions(found)

    def difference(self, difference: QueryDiff | Sequence[ToolChange]) -> None:
        """Print a query that differs, or the changes of a server's tools."""
        if isinstance(difference, QueryDiff):
            shown = render_diff(difference, lambda one: list(lines(one, BASELINE)))
        else:
            shown = list(tool_lines(difference))
        for line in shown:
            self._out.put(*line)

    def baseline(self, run: Run) -> None:
        """Print how a run differs from its baseline, if it was compared with one."""
        record = run.record.baseline
        if record is None or record.compared is None:
            return
        tools: list[ToolChange] = []
        volatile: list[VolatileSummary] = []
        moved: list[MovedRate] = []

        def queries() -> Iterator[QueryDiff]:
            for difference in read_differences(run.path / DIFFERENCES):
                if isinstance(difference, QueryDiff):
                    yield difference
                elif isinstance(difference, VolatileSummary):
                    volatile.append(difference)
                elif isinstance(difference, tuple):
                    moved.extend(difference)
                else:
                    tools.extend(difference)

        counts = DiffSummary(**record.compared.model_dump())
        self.differences(
            queries(),
            tools,
            counts,
            "text",
            lambda: volatile[0] if volatile else VolatileSummary(),
            base=BASELINE,
            moved=moved,
            coverage=read_coverage(run.path / DIFFERENCES),
            routing=read_routing(run.path / DIFFERENCES),
        )

    def suggestions(self, found: VolatileSummary) -> None:
        """Print how to leave out what looks volatile, and whether the conditions differ, even if quiet."""
        if found.conditions:
            self._err.put((f"Note: {visible(found.conditions)}", ""))
        for line in suggestion_lines(found):
            self._err.put((line, ""))

    def volatile_suite(self, suite: VolatileSuite) -> None:
        """Print what is volatile in a suite, even if quiet."""
        from mcprun.report.volatile_suite import suite_lines, suite_outcome

        for line in suite_lines(suite):
            self._out.put((line, ""))
        self._out.put((suite_outcome(suite), "green" if suite.is_stable else "bold red"))
