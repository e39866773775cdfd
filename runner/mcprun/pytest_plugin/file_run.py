"""The run that the items of one prompts file belong to, in a folder below `outputs/` like any other run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from mcprun.engine.run import RunPlan
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.prompts.query import Query
from mcprun.pytest_plugin import failure_repr
from mcprun.pytest_plugin.background_run import BackgroundRun
from mcprun.runs.directory import LOG, new_directory
from mcprun.runs.transcript import Key, Transcript


class FileRun:
    """A run on demand. `requested` holds the queries, with their repeats, that were requested."""

    def __init__(self, plan: RunPlan) -> None:
        """Start the run. Raises `UsageError` if its folder can't be created."""
        self.requested: set[Key] = set()
        self._is_reported = False
        with ExitStack() as stack:
            stack.enter_context(plan.prompts)
            self._shown = new_directory(plan.prompts.stem, None)
            stack.pop_all()  # the run closes the prompts
        self._path = self._shown.absolute()  # a test may change the working folder
        self._running = BackgroundRun(replace(plan, out=str(self._path)), on_demand=True).start()

    def ask(self, query: Query, repeat: int) -> Transcript:
        """Run a query and return its transcript. Raises `RunError`, now and in later calls, if the run has ended."""
        self.requested.add((query.id, repeat))
        try:
            return self._running.ask(query, repeat)
        except UsageError as error:
            raise RunError(ErrorKind.OUTPUT, str(error)) from None

    def close(self) -> RunError | None:
        """End the run, and wait until it has shut down. Return its error, unless that was reported before."""
        try:
            error = self._running.close().error
        except UsageError:  # `ask` has raised it
            return None
        return error if error and not self._is_reported and error.kind is not ErrorKind.CANCELLED else None

    @property
    def log_offset(self) -> int:
        """The size of `server.log` in bytes, which is where the servers' next output begins."""
        log = self._path / LOG
        return log.stat().st_size if log.exists() else 0

    def failure_text(self, transcripts: Sequence[Transcript], start: int, rate: float | None) -> str:
        """Describe why a query did not pass, with the servers' stderr since the offset `start`."""
        return failure_repr.query(transcripts, self._shown, failure_repr.stderr_tail(self._path, start), rate)

    def run_error_text(self, error: RunError) -> str:
        """Describe why the run could not continue: in full the first time, then in one line."""
        text = failure_repr.error_line(error) if self._is_reported else failure_repr.error(error)
        self._is_reported = True
        return text
