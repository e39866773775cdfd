"""The run that the items of one prompts file belong to: a folder below `outputs/`, like any other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from mcprun.engine.run import RunPlan
from mcprun.errors import ErrorKind, RunError, UsageError
from mcprun.prompts.query import Query
from mcprun.pytest_plugin import failure_repr
from mcprun.pytest_plugin.background_run import BackgroundRun
from mcprun.runs.directory import new_directory
from mcprun.runs.records import Transcript
from mcprun.runs.run import LOG, Key


class FileRun:
    """A run on demand. `asked` are the queries, with their repeats, that were asked for."""

    def __init__(self, plan: RunPlan) -> None:
        """Begin it. Raises `UsageError` where there is no place to write."""
        self.asked: set[Key] = set()
        self._has_told = False
        with ExitStack() as stack:
            stack.enter_context(plan.prompts)
            self._shown = new_directory(plan.prompts.stem, None)
            stack.pop_all()  # the run closes the prompts
        self._path = self._shown.absolute()  # a test may change the working folder
        self._running = BackgroundRun(replace(plan, out=str(self._path)), on_demand=True).start()

    def ask(self, query: Query, repeat: int) -> Transcript:
        """Run a query, and wait for its transcript. Raises `RunError`, now and ever after, when the run has ended."""
        self.asked.add((query.id, repeat))
        try:
            return self._running.ask(query, repeat)
        except UsageError as error:
            raise RunError(ErrorKind.OUTPUT, str(error)) from None

    def close(self) -> RunError | None:
        """End it, and wait until nothing of it is left. Give what went wrong, unless it was told."""
        try:
            error = self._running.close().error
        except UsageError:  # whoever asked was told
            return None
        return error if error and not self._has_told and error.kind is not ErrorKind.CANCELLED else None

    @property
    def log_offset(self) -> int:
        """Where the next word of a server will stand in `server.log`."""
        log = self._path / LOG
        return log.stat().st_size if log.exists() else 0

    def told(self, transcripts: Sequence[Transcript], start: int, rate: float | None) -> str:
        """Tell why a query did not pass, with what the servers said since the offset `start`."""
        return failure_repr.query(transcripts, self._shown, failure_repr.end_of_log(self._path, start), rate)

    def told_once(self, error: RunError) -> str:
        """Tell why the run could not go on: whole the first time, then in one line."""
        told = failure_repr.error_line(error) if self._has_told else failure_repr.error(error)
        self._has_told = True
        return told
