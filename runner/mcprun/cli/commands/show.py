"""`mcprun show`: print a run or one conversation in the terminal."""

from __future__ import annotations

import click

from mcprun.cli.completion import queries, runs
from mcprun.cli.usage_errors import DiscreetCommand
from mcprun.errors import UsageError


@click.command(cls=DiscreetCommand, short_help="Show a run, or one conversation.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=runs)
@click.argument("query", metavar="[QUERY]", required=False, shell_complete=queries)
def show(run: str, query: str | None) -> None:
    """Show RUN in the terminal, or the conversation of one QUERY (an id).

    RUN is a run's folder, its name under outputs/, or latest (the default).

    \b
      mcprun show
      mcprun show latest add
    """
    from mcprun._util.similar_names import did_you_mean
    from mcprun.report.console import Console
    from mcprun.runs.run import Run

    found = Run.read(run)
    console = Console()
    if query is None:
        console.run(found)
        return
    places = [offset for (name, _), offset in found.index.items() if name == query]
    if not places:
        hint = did_you_mean(query, [name for name, _ in found.index]) or f"; list them with: mcprun show {run}"
        raise UsageError(f"{found.path} has no query {query!r}{hint}")
    for offset in places:
        console.conversation(found.at(offset))
