"""`mcprun bless`: accept a run, or some of its queries, as the baseline."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcprun.cli.completion import files, runs
from mcprun.cli.configurable_command import ConfigurableCommand
from mcprun.cli.options import run as run_options
from mcprun.cli.options.option import Heading, option
from mcprun.errors import UsageError

if TYPE_CHECKING:
    from mcprun.analysis.diff.runs import QueryDiff
    from mcprun.cli.review import Review
    from mcprun.report.console import Console
    from mcprun.runs.run import Run
    from mcprun.tools.changes import ToolChange


@click.command(cls=ConfigurableCommand, only=("scrub", "ignore", "ignore_order"), short_help="Make a run the baseline.")
@click.argument("run", metavar="RUN", shell_complete=runs)
@click.argument("baseline", metavar="BASELINE", shell_complete=files)
@click.argument("more", metavar="", nargs=-1)
@option(
    "--only",
    heading=Heading.OPTIONS,
    multiple=True,
    metavar="ID...",
    help="Accept only queries whose id matches",
    details="Accept only queries whose id matches, such as 'add-*'; an exact id takes precedence over a pattern."
    " Several ids may follow. The other queries, and the server's tools, stay those of the baseline.",
)
@option(
    "--interactive",
    "-i",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Show each difference and ask",
    details="Show each difference from the baseline, and ask whether to accept it: y, n, a (all that follow), q"
    " (quit).",
)
@option(
    "--slim",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Keep only what comparisons need",
    details="Keep only what comparisons need; a slim baseline can't be replayed.",
)
@option(
    "--force",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Accept errors and missing queries",
    details="Accept a run that has errors, is unfinished, or lacks queries of the baseline.",
)
@run_options.SCRUB
@run_options.IGNORE
@run_options.IGNORE_ORDER
def bless(run: str, baseline: str, more: tuple[str, ...], slim: bool, force: bool, **parameters: Any) -> None:
    """Make RUN the BASELINE: a folder with its transcripts, small enough to commit.

    Replaces an existing baseline, unless it has queries that RUN lacks (--force drops them). --only and
    --interactive accept some queries, and leave the others as they are. Besides, only batch --update changes a
    baseline.

    \b
      mcprun bless latest baseline
      mcprun bless latest baseline --only add 'list-*'
      mcprun bless latest baseline --interactive
      mcprun batch prompts.jsonl server.py -m replay:baseline --baseline baseline
    """
    from mcprun.cli.failed_queries import failed_queries_note
    from mcprun.report.console import Console
    from mcprun.report.text import plural
    from mcprun.runs.baseline import bless as bless_run
    from mcprun.runs.run import Run

    only = (*parameters["only"], *more)
    if more and not parameters["only"]:
        raise click.UsageError(f"Got an unexpected argument {more[0]!r}. To accept only some queries, use --only.")
    if only and parameters["interactive"]:
        raise click.UsageError("--only and --interactive can't be combined")
    if slim and (only or parameters["interactive"]):
        raise click.UsageError("--slim applies to a whole run: a baseline stays slim if it is")
    found, path, console = Run.read(run), Path(baseline), Console()
    conditions = _conditions(found, path) if only or parameters["interactive"] else ""
    accepted: Collection[str] | None = None
    if parameters["interactive"]:
        text, accepted = _review(found, path, console, parameters, force=force)
    elif only:
        text, accepted = _accept_only(found, path, only, force=force)
    else:
        bless_run(found, path, slim=slim, force=force)
        transcripts = plural(found.record.counts.queries if found.record.counts else 0, "transcript")
        text = f"{transcripts} of {found.path}"
    if text:
        if conditions:
            console.warning(conditions)
        size = sum(file.stat().st_size for file in path.iterdir())
        console.note(f"{baseline}: {text}, {size / 1000:,.1f} kB")
        if failed := failed_queries_note(found, accepted):
            console.note(failed)
        console.note(f"Next: {_next_command(found, path, baseline)}")


def _conditions(run: Run, path: Path) -> str:
    """Return a warning if a run was recorded under other conditions than the baseline at `path`; empty if not."""
    from mcprun.runs.conditions import condition_difference
    from mcprun.runs.run import Run

    base = Run.read_record(str(path)).record if path.is_dir() else run.record
    differ = condition_difference(base, run.record, str(path), str(run.path))
    return differ and f"{differ}. The baseline keeps its conditions; bless the whole run to replace them"


def _accept_only(run: Run, path: Path, patterns: Sequence[str], *, force: bool) -> tuple[str, Collection[str]]:
    """Accept the queries whose ids match, and return what was accepted as text, and their ids.

    Raises `UsageError` for a pattern that matches none, and without `force` for a query that RUN lacks.
    """
    from mcprun._util.name_patterns import fits
    from mcprun._util.similar_names import did_you_mean
    from mcprun.runs.baseline import Selection, bless_selection, listed_names, query_ids
    from mcprun.runs.run import Run

    ids = query_ids(run)
    names = dict.fromkeys([*ids, *(query_ids(Run.read(str(path))) if path.is_dir() else [])])
    for pattern in patterns:
        if not any(fits(name, [pattern], names) for name in names):
            raise UsageError(f"no query of {run.path} matches --only {pattern!r}{did_you_mean(pattern, names)}")
    chosen = [name for name in names if fits(name, patterns, names)]
    if (lost := [name for name in chosen if name not in ids]) and not force:
        raise UsageError(f"{run.path} lacks {listed_names(lost)}; use --force to drop from {path} what it lacks")
    bless_selection(run, path, Selection(frozenset(chosen) - {*lost}, frozenset(lost)), force=force)
    taken = [name for name in chosen if name in ids]
    parts = [f"accepted {listed_names(taken)} of {run.path}"] if taken else []
    return "; ".join([*parts, *([f"dropped {listed_names(lost)}"] if lost else [])]), taken


def _review(
    run: Run, path: Path, console: Console, parameters: dict[str, Any], *, force: bool
) -> tuple[str, Collection[str]]:
    """Ask about each difference, accept what was chosen, and return it as text, empty if nothing was, and its ids.

    Raises `UsageError` without a terminal, or without a baseline to compare with.
    """
    from mcprun.runs.baseline import bless_selection, check_no_other_files

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "--interactive asks on a terminal, and there is none: accept queries by id with --only, or the whole run"
        )
    if not path.exists():
        raise UsageError(f"there is no baseline at {path} to compare with: accept the run without --interactive")
    check_no_other_files(path)
    review = _asked(run, path, console, parameters, force=force)
    if not (review.take or review.drop or review.tools):
        kept = f"{review.kept:,} differences kept as they are" if review.kept else f"{run.path} does not differ"
        console.note(f"{path} is unchanged: {kept}")
        return "", ()
    bless_selection(run, path, review.selection, force=force)
    return review.summary(), review.take


def _asked(run: Run, path: Path, console: Console, parameters: dict[str, Any], *, force: bool) -> Review:
    """Show each difference between the baseline and the run, and return the answers."""
    from mcprun.analysis.diff.runs import RunDiff
    from mcprun.analysis.diff.scrub import Scrubber
    from mcprun.analysis.diff.transcripts import CompareOptions
    from mcprun.analysis.routing.changes import check_kinds
    from mcprun.cli.review import Review
    from mcprun.report.difference_printer import DifferencePrinter
    from mcprun.runs.baseline import query_ids, unfit_queries
    from mcprun.runs.transcript_files import open_transcripts, repeated

    printer = DifferencePrinter(console)

    def show(difference: QueryDiff | Sequence[ToolChange]) -> None:
        printer.difference(difference)

    def ask(question: str) -> str | None:
        try:
            return input(question)
        except EOFError:
            click.echo()
            return None

    scrubber = Scrubber.of(parameters["scrub"], parameters["ignore"], parameters["ignore_order"])
    is_partial = any(run.record.arguments.get(name) for name in ("filters", "limit", "shard"))
    among = frozenset(query_ids(run)) if is_partial else None  # the others were not asked for, and are not removed
    review = Review(show, console.note, ask, frozenset() if force else frozenset(unfit_queries(run)))
    with open_transcripts(str(path)) as base, open_transcripts(str(run.path)) as head:
        check_kinds(base, head, (str(path), str(run.path)))
        comparison = RunDiff(CompareOptions(scrubber=scrubber), among, repeated(base, head))
        review.differences(comparison.compare(base, head), comparison.tools(base.tools, head.tools))
    return review


def _next_command(run: Run, path: Path, baseline: str) -> str:
    """Return the command that compares with the baseline."""
    from mcprun.cli.baseline_command import baseline_command
    from mcprun.config.project import environment, find_config, setting
    from mcprun.runs.run import Run as _Run

    variables, files = environment(), [find_config()]
    arguments = run.record.arguments
    configured = {name for name in arguments if setting(name, variables, files) is not None}
    return baseline_command(run, baseline, configured, is_slim=_Run.read_record(str(path)).record.slim)
