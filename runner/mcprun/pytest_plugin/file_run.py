"""The run that the items of one prompts file belong to, in a folder below `outputs/` like any other run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from mcprun.analysis.coverage.gates import CoverageGates
from mcprun.engine.run import RunPlan
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.prompts.query import Query
from mcprun.pytest_plugin import failure_repr
from mcprun.pytest_plugin.background_run import BackgroundRun
from mcprun.pytest_plugin.baseline import BaselineComparison
from mcprun.runs.directory import LOG, new_directory
from mcprun.runs.transcript import Key, Transcript


class FileRun:
    """A run on demand in the folder `path`. `requested` holds the queries, with their repeats, that were requested.

    Its own coverage is not evaluated: gates are those of the session (`session_coverage.py`).
    """

    def __init__(self, plan: RunPlan) -> None:
        """Start the run. Raises `UsageError` if its folder can't be created, or its baseline can't be read."""
        self.requested: set[Key] = set()
        self._is_reported = False
        with ExitStack() as stack:
            stack.enter_context(plan.prompts)
            self._shown = new_directory(plan.prompts.stem, None)
            self._baseline = BaselineComparison(plan) if plan.baseline else None
            stack.pop_all()  # the run closes the prompts
        self.path = self._shown.absolute()  # a test may change the working folder
        self._running = BackgroundRun(replace(plan, out=str(self.path), gates=CoverageGates()), on_demand=True).start()

    def ask(self, query: Query, repeat: int) -> Transcript:
        """Run a query and return its transcript. Raises `RunError`, now and in later calls, if the run has ended."""
        self.requested.add((query.id, repeat))
        try:
            return self._running.ask(query, repeat)
        except UsageError as error:
            raise RunError(ErrorKind.OUTPUT, str(error)) from None

    def close(self) -> str:
        """End the run, and wait until it has shut down. Return what no test has reported; empty if there is nothing.

        That is the error that ended the run, or the regressions that are not of one of its queries.
        """
        try:
            result = self._running.close()
        except UsageError:  # `ask` has raised it
            return ""
        error = result.error
        if error and error.kind is not ErrorKind.CANCELLED:
            return "" if self._is_reported else failure_repr.error(error)
        server = result.record.server
        lines = self._baseline.other_regressions(server.tools if server else None) if self._baseline else []
        return "\n".join(["regressed from the baseline", *lines]) if lines else ""

    def regression(self, transcripts: Sequence[Transcript]) -> list[str]:
        """Return how a query regressed from the baseline, as lines of text; empty if it did not."""
        return self._baseline.regression(transcripts) if self._baseline else []

    @property
    def log_offset(self) -> int:
        """The size of `server.log` in bytes, which is where the servers' next output begins."""
        log = self.path / LOG
        return log.stat().st_size if log.exists() else 0

    def failure_text(
        self, transcripts: Sequence[Transcript], start: int, rate: float | None, regression: Sequence[str]
    ) -> str:
        """Describe why a query did not pass or regressed, with the servers' stderr since the offset `start`."""
        stderr = failure_repr.stderr_tail(self.path, start)
        return failure_repr.query(transcripts, self._shown, stderr, rate, regression)

    def run_error_text(self, error: RunError) -> str:
        """Describe why the run could not continue: in full the first time, then in one line."""
        text = failure_repr.error_line(error) if self._is_reported else failure_repr.error(error)
        self._is_reported = True
        return text
