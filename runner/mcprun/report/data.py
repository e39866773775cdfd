"""The data of every report: a run's record, a stream of its transcripts, and facts derived from its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from mcprun.analysis.routing.measure import Routing, routing_of
from mcprun.errors import ExitCode
from mcprun.prompts.file import lines_of, stem_of
from mcprun.report.baseline import BaselineData, QueryChange, read_baseline
from mcprun.report.causes import Cause, CauseGroups, Causes, reasons
from mcprun.report.coverage import line_of
from mcprun.report.fault_isolation import render
from mcprun.report.log_excerpt import LogExcerpt
from mcprun.report.outcome import COVERAGE_NOT_EVALUATED, early_end
from mcprun.report.query_logs import QueryLogs, call_log
from mcprun.report.repeats import Repeats, repeated
from mcprun.report.reproduce import Commands
from mcprun.report.run_causes import breaking_causes, end_causes, tool_names
from mcprun.runs.run import Run
from mcprun.runs.run_record import Counts, RunRecord
from mcprun.runs.transcript import Key, Transcript, Verdict

_LOG_BYTES = 4096
"""Bytes from the end of `server.log` that a report shows, where the cause usually is."""


REGRESSED = "regressed"
"""The outcome of a query that nothing but the comparison with the baseline fails."""


@dataclass(frozen=True)
class RunData:
    """A run, as reports read it. Reports take nothing else, so they need no run directory.

    `path` is the run directory. `transcripts` returns a new iterator over all transcripts, in order, at each call.
    `counts` covers all of them. `durations` holds the duration of each query that the trace records. `lines` holds the
    line of each query in the prompts file, and is empty if that file has changed. `log` is the end of `server.log`,
    kept if the run or a query ended in an error. `logs` are the places of failed calls in it, and `read_log` returns
    its text from an offset, at most so many bytes. `coverage` reads it as one line, empty if it is not known.
    """

    record: RunRecord
    transcripts: Callable[[], Iterator[Transcript]]
    path: str = ""
    counts: Counts = field(default_factory=Counts)
    durations: Mapping[Key, float] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    log: str = ""
    against: BaselineData | None = None
    logs: QueryLogs = field(default_factory=QueryLogs)
    read_log: Callable[[int, int], str] | None = None
    coverage: Callable[[], str] = str

    @property
    def stem(self) -> str:
        """A short name for titles: the stem of the prompts file."""
        return stem_of(self.record.prompts.file)

    @property
    def trouble(self) -> str:
        """Why the run is incomplete; empty if it is complete."""
        return trouble(self.record, self.counts)

    @cached_property
    def repeats(self) -> list[Repeats]:
        """The repeated queries: those below their rate first, then flaky ones."""
        return repeated(self.record, self.transcripts())

    @cached_property
    def routing(self) -> Routing | None:
        """How often the model of a routed run picks the right tool; None for other runs."""
        return routing_of(self.transcripts(), self.record) if self.record.route else None

    @cached_property
    def commands(self) -> Commands:
        """The commands that run its queries again, and that print them."""
        return Commands.of(self.record, self.path)

    @property
    def code(self) -> ExitCode:
        """The exit code for CI."""
        return self.record.exit_code

    def change(self, transcript: Transcript) -> QueryChange | None:
        """Return how a query differs from the baseline; None if it does not, or if there is no baseline."""
        return self.against.changes.get((transcript.id, transcript.repeat)) if self.against else None

    def regression(self, transcript: Transcript) -> QueryChange | None:
        """Return how a query regressed from the baseline; None if it did not."""
        change = self.change(transcript)
        return change if change and change.is_regression else None

    def outcome(self, transcript: Transcript) -> str:
        """Return a query's verdict, or `regressed` if nothing but the comparison with the baseline fails it."""
        is_failing = transcript.verdict in (Verdict.FAILED, Verdict.ERROR) and not self.is_excused(transcript)
        return REGRESSED if self.regression(transcript) and not is_failing else str(transcript.verdict)

    def causes(self, transcript: Transcript) -> list[str]:
        """Return why a query is red, one line per cause: its error, checks that failed, and how it regressed."""
        regression = self.regression(transcript)
        return [*reasons(transcript), *([regression.cause] if regression else [])]

    @property
    def why(self) -> tuple[Cause, ...]:
        """Why the run is red: causes of the whole run, then those of queries, the most frequent first. Else empty."""
        return self._causes.causes

    def cause_index(self, transcript: Transcript) -> int | None:
        """Return the index in `why` of the cause of a red query; None for other queries."""
        return self._causes.index.get((transcript.id, transcript.repeat))

    def log_excerpt(self, transcript: Transcript) -> LogExcerpt | None:
        """Return what the servers wrote to stderr during the failed call that makes a query red.

        None if no failed call does, or if nothing was written meanwhile: other calls' output explains nothing.
        """
        return call_log(transcript, self.logs, self.read_log) if self.read_log else None

    @cached_property
    def _causes(self) -> Causes:
        """All causes, from one pass over the transcripts if any query may be red."""
        if self.code is ExitCode.PASSED:
            return Causes()
        changes = self.against.tools if self.against else ()
        groups = CauseGroups(name for change in changes if change.breaking for name in tool_names(change))
        if self.counts.failed or self.counts.error or (self.against and self.against.changes):
            for transcript in self.transcripts():
                if self.is_red(transcript):
                    regression = self.regression(transcript)
                    render(transcript, partial(groups.add, regression=regression.cause if regression else ""))
        run_causes = [
            *end_causes(self.record, self.counts, self.log),
            *breaking_causes(changes, groups.callers),
        ]
        removed = [(one.id, one.repeat) for one in self.against.removed] if self.against else []
        return groups.result(run_causes, removed)

    def is_excused(self, transcript: Transcript) -> bool:
        """Return whether a failed repeat does not fail the run, because its query reaches its required pass rate."""
        return transcript.verdict is Verdict.FAILED and transcript.id in self._met

    def is_red(self, transcript: Transcript) -> bool:
        """Return whether a query makes the run fail or end in an error, by its verdict or by a regression."""
        is_failing = transcript.verdict in (Verdict.FAILED, Verdict.ERROR) and not self.is_excused(transcript)
        return is_failing or self.regression(transcript) is not None

    @cached_property
    def _met(self) -> frozenset[str]:
        return frozenset(one.id for one in self.record.repeats if one.is_met)


def gather(run: Run) -> RunData:
    """Read a run for reports, finished or not. Raises `UsageError` if one of its files is damaged.

    Memory holds numbers for each query, and no transcript.
    """
    record = run.record
    has_error = run.counts.error or record.error
    durations, logs = dict[Key, float](), QueryLogs()
    for event in run.events():
        logs.add(event)
        if event.get("event") == "query_end" and "query" in event and "seconds" in event:
            durations[event["query"], event.get("repeat", 1)] = event["seconds"]
    return replace(
        results_of(run),
        durations=durations,
        lines=lines_of(Path(record.folder or ".", record.prompts.file), record.prompts.sha256),
        log=run.log(-_LOG_BYTES, _LOG_BYTES).strip() if has_error else "",
        logs=logs,
        read_log=run.log,
        coverage=partial(line_of, run),
    )


def results_of(run: Run) -> RunData:
    """Read what decides which queries are red, and not what the trace and the prompts file add.

    Raises `UsageError` if one of the run's files is damaged.
    """
    return RunData(
        record=run.record,
        transcripts=run.transcripts,
        path=str(run.path),
        counts=run.counts,
        against=read_baseline(run),
    )


def read_causes(run: Run) -> tuple[Cause, ...]:
    """Read why a run is red, without its times; empty if it is green. Raises `UsageError` like `gather`."""
    record = run.record
    if record.exit_code is ExitCode.PASSED:
        return ()
    log = run.log(-_LOG_BYTES, _LOG_BYTES).strip() if record.error else ""
    return replace(results_of(run), log=log).why


def trouble(record: RunRecord, counts: Counts) -> str:
    """Return why a run is incomplete; empty if it is complete."""
    if record.error or record.state != "finished":
        return early_end(record, counts) or (record.error.message if record.error else "")
    if record.lacks_comparison and record.baseline:
        return f"the run was not compared with its baseline {record.baseline.path}"
    if record.lacks_coverage:
        return COVERAGE_NOT_EVALUATED
    return early_end(record, counts) if counts.not_run and not counts.error else ""
