"""The coverage gates of a pytest session: evaluated once, at its end, for all runs of its prompts files together.

Gates of the command line always hold, as `--cov-fail-under` of pytest-cov does. Those of the configuration hold for
whole suites: they are left out unless every query of every prompts file was run, so that `-k`, `--lf` and a single node
id are not red for tools that other queries call. With pytest-xdist, each worker sends what it ran to the controller.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mcprun.pytest_plugin.config import Settings, gate_flags

if TYPE_CHECKING:
    from mcprun.runs.transcript import Key

_OF_WORKER = "mcprun_coverage"
"""The key of a worker's output that holds what it ran."""

_SHOWN = 5
"""Maximum number of runs that the command for the whole table names, and of files in a note."""


@dataclass(slots=True)
class FileQueries:
    """The queries of a prompts file with their repeats: how many there are, and which were run."""

    total: int = 0
    ran: set[Key] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class SessionOutcome:
    """What the end of a session prints, and whether a gate is not met."""

    lines: tuple[str, ...]
    is_failed: bool


@dataclass(slots=True)
class SessionCoverage:
    """The prompts files of a session by their path, and the folders of its runs."""

    files: dict[str, FileQueries] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    outcome: SessionOutcome | None = None

    @classmethod
    def of(cls, config: pytest.Config) -> SessionCoverage:
        """Return that of a session."""
        return config.stash.setdefault(_KEY, cls())

    def add_file(self, file: Path, total: int) -> None:
        """Add a prompts file that was collected, with the number of its queries and repeats."""
        self._queries(str(file)).total = total

    def add_run(self, file: Path, run: Path, keys: Collection[Key]) -> None:
        """Add a run of a prompts file that has ended, with the queries that were requested."""
        self.runs.append(str(run))
        self._queries(str(file)).ran.update(keys)

    def as_data(self) -> dict[str, Any]:
        """Return what pytest-xdist can send to the controller."""
        files = {name: [one.total, [list(key) for key in one.ran]] for name, one in self.files.items()}
        return {"files": files, "runs": self.runs}

    def add_data(self, data: Mapping[str, Any]) -> None:
        """Add what a worker has sent."""
        self.runs += data["runs"]
        for name, (total, ran) in data["files"].items():
            queries = self._queries(name)
            queries.total = max(queries.total, total)
            queries.ran.update((id_, repeat) for id_, repeat in ran)

    def finish(self, config: pytest.Config) -> SessionOutcome | None:
        """Evaluate the gates of a session. Return None if it has none."""
        from mcprun.errors import UsageError

        settings = Settings.of(config)
        try:
            self.outcome = self._evaluated(settings)
        except UsageError as error:
            # Queries that were not run have an error of their own, but no session with gates may pass unchecked.
            self.outcome = SessionOutcome((f"● the coverage can't be evaluated: {error}",), True)
        return self.outcome

    def _evaluated(self, settings: Settings) -> SessionOutcome | None:
        given = settings.gates(is_whole=False)
        if not self.runs:
            message = "● coverage gates are set, but no query of a prompts file was run"
            return SessionOutcome((message,), True) if given else None
        missing = list(self._not_run(settings))
        gates = given if missing else settings.gates(is_whole=True)
        note = _left_out(missing) if settings.gates(is_whole=True) != given else ""
        if not gates:
            return SessionOutcome((note,), False) if note else None

        from mcprun.analysis.coverage.gates import evaluate_gates
        from mcprun.analysis.coverage.measure import measure_coverage
        from mcprun.report.coverage import last_line
        from mcprun.runs.run import Run

        coverage = measure_coverage([Run.read(run) for run in self.runs])
        result = evaluate_gates(coverage, gates)
        lines = [
            *([note] if note else []),
            *(f"Note: {text}" for text in result.notes),
            *(f"● {text}" for text in result.failures),
            *(self._command() if result.failures else ()),
            last_line(coverage, gates, result),
        ]
        return SessionOutcome(tuple(lines), bool(result.failures))

    def _not_run(self, settings: Settings) -> Iterator[str]:
        """Yield what the session left out: queries that were not selected, and prompts files of the configuration."""
        total = sum(one.total for one in self.files.values())
        ran = sum(len(one.ran) for one in self.files.values())
        if ran < total:
            yield f"{ran:,} of {total:,} queries ran"
        files = [file for file in settings.prompts_files() if str(file) not in self.files]
        if files:
            more = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
            yield f"not collected: {', '.join(file.name for file in files[:_SHOWN])}{more}"

    def _command(self) -> Iterator[str]:
        """Yield the command that prints the whole table."""
        import shlex

        from mcprun._util.operating_system import relative_path

        if len(self.runs) <= _SHOWN:
            yield shlex.join(["mcprun", "coverage", *(relative_path(Path(run)) for run in self.runs)])

    def _queries(self, name: str) -> FileQueries:
        return self.files.setdefault(name, FileQueries())


_KEY = pytest.StashKey[SessionCoverage]()


def finish_session(session: pytest.Session) -> None:
    """Evaluate the gates at the end of a session, and make it fail if one is not met. A worker sends what it ran."""
    config = session.config
    coverage = SessionCoverage.of(config)
    output = getattr(config, "workeroutput", None)
    if output is not None:
        output[_OF_WORKER] = coverage.as_data()
        return
    has_ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    if not has_ended or config.option.collectonly or not (coverage.runs or gate_flags(config)):
        return
    outcome = coverage.finish(config)
    if outcome and outcome.is_failed:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def add_worker(config: pytest.Config, output: Mapping[str, Any]) -> None:
    """Add what a worker of pytest-xdist ran."""
    if data := output.get(_OF_WORKER):
        SessionCoverage.of(config).add_data(data)


def print_outcome(reporter: pytest.TerminalReporter) -> None:
    """Print the outcome of the gates, if there is one."""
    from mcprun.report.text import visible
    from mcprun.report.workflow_commands import for_log

    outcome = SessionCoverage.of(reporter.config).outcome
    if outcome is None:
        return
    reporter.section("mcprun coverage", red=outcome.is_failed)
    for line in outcome.lines:
        reporter.line(for_log(visible(line)), red=line.startswith("●"))


def _left_out(missing: Collection[str]) -> str:
    lead = "Note: the gates of the configuration were left out, since they hold for whole suites"
    return f"{lead}: {'; '.join(missing)}" if missing else ""
