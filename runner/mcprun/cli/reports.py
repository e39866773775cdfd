"""The reports that a command was asked for: `mcprun report` and the end of `mcprun batch` are one path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from mcprun.cli.options.report import REPORT_FORMS
from mcprun.errors import UsageError, describe
from mcprun.report import output
from mcprun.report.data import BaselineData, gather
from mcprun.report.github import commands
from mcprun.report.workflow_commands import is_on
from mcprun.report.write import HTML, STDOUT, add_outputs, add_summary, write_page_of, write_report
from mcprun.runs.run import Run


@dataclass(frozen=True, slots=True)
class Reports:
    """Which reports to write: the file of each form, and whether annotations and a summary for GitHub Actions."""

    files: Mapping[str, str]
    github: bool

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Reports:
        """Read a command's options."""
        files = {form: given[form] for form in REPORT_FORMS if given[form] is not None}
        return cls(files, is_on() if given["github"] is None else given["github"])

    @property
    def take_stdout(self) -> bool:
        """Whether one of them goes to stdout, which leaves no place there for anything else."""
        return not STDOUT.isdisjoint(self.files.values())

    def write(self, run: Run, against: BaselineData | None = None) -> None:
        """Write them all. Raises `UsageError` with every one that can't be written; the others are there."""
        if not self.files and not self.github:
            return
        facts = gather(run, against)
        writes = [
            partial(write_page_of, run, name) if form == HTML else partial(write_report, facts, form, name)
            for form, name in self.files.items()
        ]
        if self.github:
            for line in commands(facts, os.environ.get("GITHUB_WORKSPACE", "")):
                click.echo(line, file=output.commands(is_stdout=not self.take_stdout))
            if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
                writes.append(partial(add_summary, facts, summary))
        problems: list[str] = []
        for write in writes:
            try:
                write()
            except UsageError as error:
                problems.append(str(error))
            except Exception as error:  # noqa: BLE001  one failed report must not cost the others
                problems.append(f"a report can't be made: {describe(error)}")
        if problems:
            raise UsageError("; ".join(problems))

    def written(self, run: Run, against: BaselineData | None = None) -> bool:
        """Write them all, and the outputs of a workflow's step, at the end of a run. Return whether all are written.

        Problems are printed and change nothing about the run. `--no-github` does not leave out the outputs: they print
        nothing, and later steps may depend on them.
        """
        writes = [partial(self.write, run, against)]
        if (self.github or is_on()) and (outputs := os.environ.get("GITHUB_OUTPUT")):
            writes.append(partial(add_outputs, run, outputs))
        problems = [problem for write in writes if (problem := _problem(write))]
        for problem in problems:
            click.echo(f"Error: {problem}. The run is kept: mcprun report {run.path} writes reports of it", err=True)
        return not problems


def _problem(write: Callable[[], None]) -> str | None:
    try:
        write()
    except UsageError as error:
        return str(error)
    return None
