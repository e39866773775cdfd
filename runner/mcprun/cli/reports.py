"""Write the requested reports: one code path for `mcprun report` and the end of `mcprun batch` and `mcprun merge`."""

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
from mcprun.report.output import STDOUT
from mcprun.report.workflow_commands import is_on
from mcprun.runs.run import Run


@dataclass(frozen=True, slots=True)
class Reports:
    """The requested reports: a file per format, and whether to write annotations and a summary for GitHub Actions."""

    files: Mapping[str, str]
    github: bool

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Reports:
        """Build the requested reports from a command's options."""
        files = {form: parameters[form] for form in REPORT_FORMS if parameters[form] is not None}
        return cls(files, is_on() if parameters["github"] is None else parameters["github"])

    @property
    def take_stdout(self) -> bool:
        """Whether a report goes to stdout, which then can't be used for anything else."""
        return not STDOUT.isdisjoint(self.files.values())

    def write(self, run: Run) -> None:
        """Write all reports. Raises one `UsageError` that names all failures; the other reports are still written."""
        if not self.files and not self.github:
            return
        from mcprun.report.data import gather
        from mcprun.report.github import commands
        from mcprun.report.write import HTML, add_summary, write_page_of, write_report

        facts = gather(run)
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
            except Exception as error:  # noqa: BLE001  one failed report must not affect the others
                problems.append(f"can't write a report: {describe(error)}")
        if problems:
            raise UsageError("; ".join(problems))

    def written(self, run: Run) -> bool:
        """Write all reports and the step outputs at the end of a run; return whether all were written.

        Problems are printed and do not affect the run. `--no-github` does not suppress the outputs: they print nothing,
        and later steps may depend on them.
        """
        writes = [partial(self.write, run)]
        if (self.github or is_on()) and (outputs := os.environ.get("GITHUB_OUTPUT")):
            from mcprun.report.write import add_outputs

            writes.append(partial(add_outputs, run, outputs))
        problems = [problem for write in writes if (problem := _problem(write))]
        for problem in problems:
            click.echo(
                f"Error: {problem}. The run is saved; write its reports with: mcprun report {run.path}", err=True
            )
        return not problems


def _problem(write: Callable[[], None]) -> str | None:
    try:
        write()
    except UsageError as error:
        return str(error)
    return None
