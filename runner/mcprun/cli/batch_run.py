"""Execute the plan of `mcprun batch`, print the outcome, and write the reports.

What only some runs need, such as a comparison or a report, is imported when it is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from mcprun._util.run_stop import RunStop
from mcprun.cli.argument_sources import Arguments
from mcprun.cli.arguments import plan_from_arguments
from mcprun.cli.dry_run import check_live, server_of
from mcprun.cli.reports import Reports
from mcprun.cli.signals import Signals
from mcprun.engine.run import RunPlan, RunResult, execute
from mcprun.errors import NOT_STARTED, ErrorKind, ExitCode
from mcprun.report.console import Console
from mcprun.report.text import plural
from mcprun.runs.run import Run

if TYPE_CHECKING:
    from mcprun.cli.baseline_update import BaselineUpdate


@dataclass(frozen=True, slots=True)
class Executed:
    """A run that has ended.

    Attributes:
        result: Its result, compared with the baseline of the plan, if it has one.
        signal: The number of the last signal that arrived meanwhile; None if none did.
        warned: The warnings about patterns that the run has printed.
    """

    result: RunResult
    signal: int | None
    warned: Collection[str]

    @property
    def is_cancelled(self) -> bool:
        """Whether a signal ended the run."""
        error = self.result.error
        return error is not None and error.kind is ErrorKind.CANCELLED

    @property
    def signal_code(self) -> int | None:
        """The exit code of a process that a signal ended; None if none did."""
        return 128 + self.signal if self.signal and self.is_cancelled else None


def execute_plan(plan: RunPlan, console: Console) -> Executed:
    """Execute a plan with its progress shown, compare the run with its baseline, and evaluate its outcome."""
    with plan.prompts, console.progress() as progress:
        run_stop = RunStop()
        signals = Signals(run_stop, progress.note, is_batched=plan.model.is_batched)
        result = asyncio.run(signals.run(execute(plan, progress.handle, run_stop)))
        warned = plan.scrubber.warnings()
        if plan.baseline:
            from mcprun.engine.comparison import compare_with_baseline

            result = compare_with_baseline(result, plan)
        if plan.gates:
            from mcprun.engine.coverage import check_coverage

            result = check_coverage(result)
        if plan.route:
            from mcprun.engine.routing_outcome import record_routing

            result = record_routing(result)
    return Executed(result, signals.last, warned)


@dataclass(frozen=True, slots=True)
class BatchRun:
    """A run to execute, the update of its baseline and the reports that were asked for, and where to print."""

    plan: RunPlan
    update: BaselineUpdate | None
    reports: Reports
    console: Console

    @classmethod
    def of(cls, arguments: Arguments, parameters: Mapping[str, Any]) -> Self:
        """Plan the run that the arguments describe. Raises `UsageError`."""
        update = _baseline_update(arguments)
        plan = plan_from_arguments(update.arguments(arguments) if update else arguments)
        reports = Reports.of(parameters)
        console = Console(
            quiet=parameters["quiet"], is_verbose=parameters["verbose"], is_stdout_taken=reports.take_stdout
        )
        return cls(plan, update, reports, console)

    def check(self) -> ExitCode:
        """Check the queries against the server without running them, print the result, and return the exit code."""
        from mcprun.engine.dry_run import DryRunPlan  # imports the SDK

        with self.plan.prompts as prompts:
            for warning in prompts.warnings:
                self.console.warning(warning)
            result, code = check_live(DryRunPlan.of(self.plan), self.console)
        if result and code is ExitCode.PASSED:
            runs = f", {plural(prompts.runs, 'run')}" if prompts.runs != len(prompts) else ""
            queries = f"{plural(len(prompts), 'query')}{runs}, model {self.plan.model.record.name}"
            self.console.status(f"Nothing was run: {queries}; checked against {server_of(result)}")
        return code

    def execute(self) -> int:
        """Execute the run, print its outcome, write the reports, and return the exit code."""
        executed = execute_plan(self.plan, self.console)
        self._print_summary(executed.result)
        result, is_updated = executed.result, True
        if self.update and not executed.is_cancelled:
            result, is_updated = self.update.apply(result, self.plan, self.console)
        run = Run(result.path, result.record)
        if run.record.baseline is None and run.counts.diverged and not executed.is_cancelled:
            self._print_suggestions(run)
        for warning in self.plan.scrubber.warnings():
            if warning not in executed.warned:
                self.console.warning(warning)
        is_reported = self.reports.written(run)
        if not is_reported or result.record.exit_code != ExitCode.PASSED:
            from mcprun.report.run_printer import RunPrinter

            RunPrinter(self.console).outcome(run, is_reported=is_reported)
        code = result.record.exit_code if executed.signal_code is None else executed.signal_code
        return code if code != ExitCode.PASSED or (is_reported and is_updated) else ExitCode.ERROR

    def _print_summary(self, result: RunResult) -> None:
        """Print the totals, how to resume a run that ended early, and how it differs from its baseline."""
        run, error = Run(result.path, result.record), result.error
        if error:
            self.console.run_error(error, has_causes=True)
        self.console.summary(run)
        done = result.record.counts.done if result.record.counts else 0
        if error and (done or error.kind not in NOT_STARTED):
            self.console.print_resume_command(run)
        if run.record.baseline:
            from mcprun.report.difference_printer import DifferencePrinter

            DifferencePrinter(self.console).baseline(run)

    def _print_suggestions(self, run: Run) -> None:
        """Print the rules that would cover the calls of a replay that diverged, if they look volatile."""
        from mcprun.engine.divergence import volatile_divergences
        from mcprun.report.difference_printer import DifferencePrinter

        DifferencePrinter(self.console).suggestions(volatile_divergences(run, self.plan.scrubber))


def _baseline_update(arguments: Arguments) -> BaselineUpdate | None:
    """Return the update that `--update` asks for; see `BaselineUpdate.of`."""
    if not arguments.values["update"]:
        return None
    from mcprun.cli.baseline_update import BaselineUpdate

    return BaselineUpdate.of(arguments)
