"""`mcprun batch --update`: accept a run as the new baseline at its end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click

from mcprun.cli.argument_sources import Arguments
from mcprun.cli.failed_queries import failed_queries_note
from mcprun.engine.comparison import compare_with_baseline, record_failed_update
from mcprun.engine.run import RunPlan, RunResult
from mcprun.errors import UsageError
from mcprun.report.console import Console
from mcprun.report.text import plural
from mcprun.runs.baseline import Selection, bless, bless_selection, check_no_other_files, query_ids
from mcprun.runs.directory import LATEST, OUTPUTS
from mcprun.runs.run import Run
from mcprun.runs.run_record import RunRecord

_CI = (
    "--update accepts whatever this run returns, and CI is set: a gate compares, without --update, and a new baseline"
    " is lost unless it is committed"
)


@dataclass(frozen=True, slots=True)
class BaselineUpdate:
    """A baseline to replace at the end of a run.

    Attributes:
        path: Its folder.
        name: Its name in messages.
        exists: Whether there is one already. If so, the run is compared with it first.
        force: Whether errors and missing queries are accepted.
    """

    path: Path
    name: str
    exists: bool
    force: bool

    @classmethod
    def of(cls, arguments: Arguments) -> Self:
        """Return the update that `--update` asks for.

        Raises a usage error without a baseline, with `--shard`, and for a folder that holds other files than a
        baseline: replacing it would delete them.
        """
        values = arguments.values
        name = values["baseline"]
        if name is None:
            raise click.UsageError("--update requires --baseline DIR, the folder of the baseline to write")
        if values["shard"]:
            raise click.UsageError("--update can't be combined with --shard: merge the shards, and bless the result")
        path = next((path for path in (Path(name), OUTPUTS / name) if path.is_dir()), None)
        if path is None and Path(name).name == LATEST:
            raise UsageError(f"--update writes a baseline, and {name} is the latest run: name a folder of its own")
        if path is None and os.path.lexists(name):
            raise UsageError(f"{name} exists and is not a folder: a baseline needs a folder of its own")
        if path is not None and not Run.read_record(str(path)).is_baseline:
            raise UsageError(
                f"{path} is a run, and --update replaces only baselines: make one with mcprun bless {path} baseline"
            )
        if path is not None:
            check_no_other_files(path)
        return cls(path or Path(name), name, path is not None, bool(values["force"]))

    def arguments(self, arguments: Arguments) -> Arguments:
        """Return the arguments of the run: without a baseline to compare with if there is none yet."""
        return arguments if self.exists else arguments.having("baseline", None).without("baseline")

    def apply(self, result: RunResult, plan: RunPlan, console: Console) -> tuple[RunResult, bool]:
        """Accept a run. Return it, compared with the new baseline, and whether it was accepted.

        A run that does not differ leaves the baseline as it is. Print what was accepted, or why nothing was.
        """
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            console.warning(_CI)
        run = Run(result.path, result.record)
        if self.exists and self._is_same(run):
            console.note(f"{self.name} is unchanged: nothing differs")
            return result, True
        try:
            size = self._write(run, is_partial=plan.prompts.select.is_choosy)
        except UsageError as error:
            message = f"{self.name} was not updated: {error}"
            console.error(message)
            return record_failed_update(result, plan.redactor.text(message)), False
        transcripts = plural(Run.read_record(str(self.path)).counts.queries, "transcript")
        console.note(f"{self.name}: accepted {_accepted(result.record)} ({transcripts}, {size / 1000:,.1f} kB)")
        if failed := failed_queries_note(run):
            console.note(failed)
        if not self.exists:
            return result, True
        return compare_with_baseline(result, plan), True

    def _is_same(self, run: Run) -> bool:
        compared = run.record.baseline.compared if run.record.baseline else None
        if compared is None or compared.changed or compared.added or compared.removed:
            return False
        before = Run.read_record(str(self.path)).record.server
        return bool(before and run.record.server and before.tools == run.record.server.tools)

    def _write(self, run: Run, *, is_partial: bool) -> int:
        """Write the baseline, and return its size in bytes. A run of selected queries replaces only those."""
        if is_partial and self.exists:
            return bless_selection(run, self.path, Selection(frozenset(query_ids(run)), tools=True), force=self.force)
        slim = self.exists and Run.read_record(str(self.path)).record.slim
        return bless(run, self.path, slim=slim, force=self.force)


def _accepted(record: RunRecord) -> str:
    """Return what differed from the former baseline, or that all is new."""
    compared = record.baseline.compared if record.baseline else None
    if compared is None:
        return "all"
    counts: Mapping[str, Any] = compared.model_dump()
    parts = [f"{counts[how]:,} {how}" for how in ("changed", "added", "removed") if counts[how]]
    return ", ".join(parts) or "the server's tools"
