"""`mcprun show`: print a run or one conversation in the terminal."""

from __future__ import annotations

import click

from mcprun.cli.completion import queries, runs
from mcprun.errors import UsageError


@click.command(short_help="Read a run, or one conversation, in the terminal.")
@click.argument("run", metavar="[RUN]", default="latest", shell_complete=runs)
@click.argument("query", metavar="[QUERY]", required=False, shell_complete=queries)
def show(run: str, query: str | None) -> None:
    """Read RUN in the terminal; with QUERY (an id), that one conversation.

    RUN is a run's folder, its name under outputs/, or latest, which is meant where it is left out.

    \b
      mcprun show
      mcprun show latest add
    """
    from mcprun.report.console import Console
    from mcprun.runs.run import Run

    found = Run.read(run)
    console = Console()
    if query is None:
        console.run(found)
        return
    places = [offset for (name, _), offset in found.index.items() if name == query]
    if not places:
        raise UsageError(f"{found.path} has no query {query!r}; mcprun show {run} lists them")
    for offset in places:
        console.conversation(found.at(offset))
