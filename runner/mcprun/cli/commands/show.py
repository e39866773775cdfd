"""`mcprun show`: print a run or one conversation in the terminal."""

from __future__ import annotations

import click

from mcprun.cli.completion import queries, runs
from mcprun.cli.options.option import Heading, option
from mcprun.cli.usage_errors import DiscreetCommand
from mcprun.errors import UsageError


@click.command(cls=DiscreetCommand, short_help="Show a run, or one conversation.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=runs)
@click.argument("query", metavar="[QUERY]", required=False, shell_complete=queries)
@option("--failed", heading=Heading.OPTIONS, is_flag=True, help="List only queries that did not pass")
@option("--all", "wants_all", heading=Heading.OPTIONS, is_flag=True, help="Also list the passed queries of a red run")
@option(
    "--trace",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="With QUERY, also the times of its turns and calls",
    details="With QUERY, also its timeline: turns, calls, steps, waits and idle time.",
)
@option(
    "--markdown",
    heading=Heading.OPTIONS,
    is_flag=True,
    help="Print QUERY as Markdown, for a coding assistant",
    details="Print QUERY as Markdown, for an issue or a coding assistant: cause, commands, conversation and log lines.",
)
def show(run: str, query: str | None, *, failed: bool, wants_all: bool, trace: bool, markdown: bool) -> None:
    """Show RUN in the terminal, or the conversation of one QUERY (an id).

    RUN is a run's folder, its name under outputs/, or latest (the default). Queries that did not pass come first, and
    the run's causes last. The passed queries of a red run are only counted, unless --all is given.

    \b
      mcprun show
      mcprun show latest --failed
      mcprun show latest add
      mcprun show latest add --trace
      mcprun show latest add --markdown
    """
    from functools import partial

    from mcprun._util.similar_names import did_you_mean
    from mcprun.report.assistant import assistant_text
    from mcprun.report.console import Console
    from mcprun.report.data import gather, results_of
    from mcprun.report.fault_isolation import render
    from mcprun.report.run_printer import RunPrinter
    from mcprun.report.timeline import timeline
    from mcprun.report.timings import Timings
    from mcprun.runs.run import Run

    if trace and query is None:
        raise UsageError("--trace needs a QUERY: mcprun show RUN QUERY --trace")
    if failed and wants_all:
        raise click.UsageError("--failed and --all can't be combined")
    if query is not None and (failed or wants_all):
        raise click.UsageError(f"{'--failed' if failed else '--all'} lists queries, and can't be combined with a QUERY")
    if markdown and query is None:
        raise UsageError(
            "--markdown needs a QUERY: mcprun show RUN QUERY --markdown; for a run, use mcprun report --markdown -"
        )
    if markdown and trace:
        raise UsageError("--markdown can't be combined with --trace")
    found = Run.read(run)
    console = Console()
    printer = RunPrinter(console)
    if query is None:
        printer.run(found, "red" if failed else "all" if wants_all else "")
        return
    places = [offset for (name, _), offset in found.index.items() if name == query]
    if not places:
        hint = did_you_mean(query, [name for name, _ in found.index]) or f"; list them with: mcprun show {run} --all"
        raise UsageError(f"{found.path} has no query {query!r}{hint}")
    events = (event for event in found.events() if event.get("query", query) == query)
    timings = Timings.of(events) if trace else Timings()
    if trace and not timings.queries:
        raise UsageError(f"{found.path} has no trace of {query!r}")
    facts = gather(found) if markdown else results_of(found)
    for offset in places:
        transcript = found.at(offset)
        if markdown:
            excerpt = facts.log_excerpt(transcript)
            console.text(render(transcript, partial(assistant_text, facts, log=excerpt.text if excerpt else "")))
            continue
        printer.conversation(transcript)
        if facts.is_red(transcript):
            printer.commands(facts.commands, transcript)
        if times := timings.queries.get((transcript.id, transcript.repeat)):
            printer.timeline(timeline(times))
