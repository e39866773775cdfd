"""`mcprun batch --detect-volatile`: run a suite several times, and report what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from mcprun.analysis.coverage.gates import CoverageGates
from mcprun.analysis.volatile.passes import compare_passes
from mcprun.cli.argument_sources import Arguments
from mcprun.cli.arguments import plan_from_arguments
from mcprun.cli.batch_run import execute_plan
from mcprun.cli.options.report import REPORT_FORMS
from mcprun.engine.run import RunPlan
from mcprun.errors import ExitCode
from mcprun.report.console import Console
from mcprun.report.difference_printer import DifferencePrinter
from mcprun.report.run_printer import RunPrinter
from mcprun.runs.run import Run

_EXCLUDED = ("resume", "dry_run", "baseline", *REPORT_FORMS)
"""Options that are about one run."""


def detect_volatile(arguments: Arguments, passes: int, console: Console) -> int:
    """Run a suite `passes` times, print what is volatile in its results, and return the exit code.

    Each pass is a run of its own, with servers of its own and a run directory of its own, as if the command were
    repeated. No pass is compared with a baseline, or has coverage gates, that the project sets.

    Raises:
        UsageError: The suite can't be run, or an option can't be combined with several passes.
    """
    for name in _EXCLUDED:
        if arguments.is_given(name):
            raise click.UsageError(
                f"--{name.replace('_', '-')} and --detect-volatile cannot be combined: it is about a single run"
            )
    if arguments.values["prompts"] == "-":
        raise click.UsageError("--detect-volatile needs a prompts file: stdin can be read only once")
    runs: list[Run] = []
    for number in range(1, passes + 1):
        plan = _plan(arguments, number)
        run, code = _run(plan, console, f"Pass {number} of {passes}")
        runs.append(run)
        if run.record.error or code is not None:
            RunPrinter(console).outcome(run)
            return int(run.record.exit_code) if code is None else code
    return _report(runs, plan, console)


def _plan(arguments: Arguments, number: int) -> RunPlan:
    """Return the plan of one pass. The directory that `--out` names is that of the first pass."""
    out = arguments.values["out"]
    if out and number > 1:
        arguments = arguments.having("out", f"{out}-{number}")
    return replace(plan_from_arguments(arguments), baseline=None, gates=CoverageGates())


def _run(plan: RunPlan, console: Console, title: str) -> tuple[Run, int | None]:
    """Execute one pass. Return its run, and the exit code if a signal ended it."""
    executed = execute_plan(plan, console)
    result = executed.result
    if result.error:
        console.run_error(result.error)
    run = Run(result.path, result.record)
    console.pass_of_suite(title, run)
    return run, executed.signal_code


def _report(runs: Sequence[Run], plan: RunPlan, console: Console) -> int:
    """Print what is volatile. Return the first exit code of a pass that did not pass, else that of the comparison."""
    suite = compare_passes(runs, plan.scrubber)
    if plan.model.record.is_asked:
        console.warning(
            "a model answered, so calls differ between the passes as well; with scripts, or with --model replay:RUN,"
            " only the server's results do"
        )
    DifferencePrinter(console).volatile_suite(suite)
    codes = sorted((run.record.exit_code for run in runs), key=lambda code: (not code, code))
    for run in runs:
        if run.record.exit_code == codes[0]:
            RunPrinter(console).outcome(run)
            break
    return int(codes[0] or (ExitCode.PASSED if suite.is_stable else ExitCode.FAILED))
