"""Compare the queries of a prompts file with the configured baseline, each as soon as it has run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from mcprun._util.json_io import dumps
from mcprun._util.json_value import JsonObject
from mcprun.analysis.diff.rule import Rule
from mcprun.analysis.diff.runs import RunDiff
from mcprun.analysis.diff.transcripts import CompareOptions
from mcprun.analysis.volatile.findings import Findings
from mcprun.analysis.volatile.likelihood import Interval, parse_time
from mcprun.engine.run import RunPlan
from mcprun.report.baseline import query_change
from mcprun.report.diff import tool_lines
from mcprun.report.fault_isolation import render_diff
from mcprun.report.text import visible
from mcprun.report.volatile import suggestion_lines
from mcprun.runs.directory import TRANSCRIPTS
from mcprun.runs.run import Run
from mcprun.runs.transcript import Transcript

_NAMED = 10
"""Maximum number of queries that a message names."""


class BaselineComparison:
    """Compares the queries of `plan` with its baseline. Memory holds the offsets of the baseline's transcripts.

    Repeats of a query are compared as samples, as `mcprun batch` does, once all of them have run.
    """

    def __init__(self, plan: RunPlan) -> None:
        """Read the baseline. Raises `UsageError` if it can't be read."""
        assert plan.baseline is not None  # noqa: S101  for mypy: callers check it
        self._plan = plan
        self._baseline = plan.baseline
        self._run = Run.read_record(str(plan.baseline.path))
        self._offsets: dict[str, list[int]] = {}
        for (name, _), offset in self._run.index.items():
            self._offsets.setdefault(name, []).append(offset)
        self._done: dict[str, list[Transcript]] = {}
        interval = Interval(parse_time(self._run.record.started), datetime.now(UTC))
        self._found = Findings(plan.scrubber, interval)
        self._suggested: tuple[Rule, ...] = ()

    def regression(self, transcripts: Sequence[Transcript]) -> list[str]:
        """Return how a query regressed, as lines of a diff; empty if it did not.

        `transcripts` are the repeats that a test has run. The last of several tests of a query compares all of them.
        The options that would leave out what looks volatile follow, unless an earlier test has named all of them.
        """
        name = transcripts[0].id
        done = self._done.setdefault(name, [])
        done += transcripts
        if len(done) < self._plan.prompts.repeats_of(name):
            return []
        del self._done[name]
        base, head = list(self._base_lines(name)), [f"{dumps(one.line())}\n".encode() for one in done]
        is_repeated = any(one.repeat != 1 for one in done) or len(base) > 1
        repeated = {name: (len(base), len(head))} if is_repeated else {}
        diffs = self._found.watch(self._comparison(repeated).compare(base, head))
        changes = [render_diff(diff, query_change) for diff in diffs if diff.is_regression]
        lines = [line for change in changes for line in (change.cause, *change.lines)]
        return [*lines, *self._suggestion()] if lines else []

    def _suggestion(self) -> list[str]:
        found = self._found.summary()
        if found.suggested == self._suggested:
            return []
        self._suggested = found.suggested
        return list(suggestion_lines(found))

    def other_regressions(self, tools: list[JsonObject] | None) -> list[str]:
        """Return the regressions that are not of a query of the file, as lines of text.

        They are queries that only the baseline has, if the whole file is selected, and breaking changes of `tools`.
        """
        prompts = self._plan.prompts
        removed = [] if prompts.select.is_choosy else [name for name in self._offsets if name not in prompts.digests]
        named = ", ".join([*(repr(one) for one in removed[:_NAMED]), *(["…"] if removed[_NAMED:] else [])])
        found = [visible(f"{self._baseline.name} has queries that this file lacks: {named}")] if removed else []
        base = self._run.record.server.tools if self._run.record.server else None
        changes = [change for change in self._comparison({}).tools(base, tools) if change.breaking]
        return found + ["".join(text for text, _ in line) for line in tool_lines(changes)]

    def _comparison(self, repeated: Mapping[str, tuple[int, ...]]) -> RunDiff:
        return RunDiff(CompareOptions(scrubber=self._plan.scrubber), None, repeated, self._baseline.alpha)

    def _base_lines(self, name: str) -> Iterator[bytes]:
        with ExitStack() as stack:
            file = stack.enter_context((self._run.path / TRANSCRIPTS).open("rb"))
            for offset in self._offsets.get(name, ()):
                file.seek(offset)
                yield file.readline()
