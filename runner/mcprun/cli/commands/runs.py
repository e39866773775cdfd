"""`mcprun runs`: list runs, and remove old ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcprun.cli.completion import files
from mcprun.cli.options.option import Heading, option
from mcprun.cli.options.types import type_of
from mcprun.cli.usage_errors import DiscreetCommand
from mcprun.errors import UsageError
from mcprun.option_kinds import Whole

if TYPE_CHECKING:
    from mcprun.report.console import Console
    from mcprun.runs.listing import ListedRun, Removal


@click.command(cls=DiscreetCommand, short_help="List runs, and remove old ones.")
@click.argument("folder", metavar="[FOLDER]", default="outputs", shell_complete=files)
@option(
    "--keep",
    heading=Heading.OPTIONS,
    type=type_of(Whole(0)),
    metavar="N",
    help="Remove all but the N newest runs",
    details="Remove all but the N newest runs, after asking. Baselines, unfinished, damaged and locked runs, and"
    " folders that also contain other files, are kept.",
)
@option(
    "--yes",
    "-y",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Remove without asking",
    details="With --keep: remove without asking.",
)
@option(
    "--json", "as_json", heading=Heading.OPTIONS, is_flag=True, help="Print JSON Lines, one object per run"
)  # fmt: skip
def runs(folder: str, keep: int | None, yes: bool, as_json: bool) -> None:
    """List the runs in FOLDER (default: outputs), newest first, and remove old ones.

    Each run is shown with its time, verdicts, prompts, model, server, and the baseline it was compared with.

    \b
      mcprun runs
      mcprun runs --keep 20
      mcprun runs --json | jq 'select(.verdicts.failed > 0) | .name'
    """
    from mcprun.report.console import Console
    from mcprun.runs.directory import OUTPUTS
    from mcprun.runs.listing import list_runs

    if yes and keep is None:
        raise click.UsageError("--yes requires --keep N")
    if Path(folder) != OUTPUTS and not Path(folder).exists():
        raise click.UsageError(f"there is no folder {folder}: runs are listed in {OUTPUTS} by default")
    console = Console(is_stdout_taken=as_json)
    found = list_runs(Path(folder))
    if keep is not None:
        removed = _remove_old(found, Path(folder), keep, console, is_confirmed=yes)
        found = [one for one in found if one not in removed]
        if not as_json:
            return
    _print(found, folder, console, as_json=as_json)


def _print(found: list[ListedRun], folder: str, console: Console, *, as_json: bool) -> None:
    """Print the list of runs."""
    from mcprun._util.json_io import dumps
    from mcprun.report.runs import run_lines, run_totals
    from mcprun.report.text import visible, visible_json

    if as_json:
        for one in found:
            click.echo(visible_json(dumps(one.line())))
        return
    if not found:
        click.echo(visible(f"there is no run in {folder}: create one with mcprun batch"))
        return
    console.lines(run_lines(found))
    click.echo(run_totals(found))


def _remove_old(
    found: list[ListedRun], folder: Path, keep: int, console: Console, *, is_confirmed: bool
) -> list[ListedRun]:
    """Remove all but the newest runs, after asking. Print what was removed and kept, and return the removed ones."""
    from mcprun.report.runs import run_totals
    from mcprun.runs.listing import finish_removals, plan_removal, remove, repair_latest

    plan = plan_removal(found, keep, _configured_baselines())
    if plan.runs and not is_confirmed:
        _confirm(plan)
    for one, reason in plan.kept:
        console.note(f"kept {one.path}: {reason}")
    finish_removals(folder)
    removed: list[ListedRun] = []
    for one in plan.runs:
        if problem := remove(one):
            console.note(f"kept {one.path}: {problem}")
        else:
            console.note(f"removed {one.path}")
            removed.append(one)
    repair_latest()
    console.note(f"removed {run_totals(removed)}" if removed else "nothing was removed")
    return removed


def _confirm(plan: Removal) -> None:
    """Ask whether to remove runs. Raises `UsageError` without a terminal, `click.Abort` if the answer is no."""
    from mcprun.report.runs import local_time, size_text
    from mcprun.report.text import plural, visible

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        count = plural(len(plan.runs), "run")
        raise UsageError(f"--keep would remove {count}, and there is no terminal to ask on: add --yes")
    for one in plan.runs:
        click.echo(visible(f"  {one.path}  {local_time(one.started)}"), err=True)
    question = f"Remove {plural(len(plan.runs), 'run')} ({size_text(plan.size)})?"
    click.confirm(question, abort=True, err=True)


def _configured_baselines() -> set[Path]:
    """Return the resolved path of the baseline that the environment or the project sets, if any."""
    from mcprun.config.project import environment, find_config, setting
    from mcprun.runs.directory import OUTPUTS

    configured = setting("baseline", environment(), [find_config()])
    if configured is None or not isinstance(configured.value, str):
        return set()
    return {path.resolve() for path in (Path(configured.value), OUTPUTS / configured.value) if path.is_dir()}
